"""The fields of the checkpoint are those that the documentation lists."""

import re
from typing import cast

from sanctum_bus.ops.rebuild import rebuild_run
from sanctum_bus.protocol.scripts import calls
from tests.support.fold_run import Entry, entry
from tests.support.paths import ROOT
from tests.support.servers import Server
from tests.support.worker_rig import Side, drain, settings_of, side_of, story

PAGE = ROOT / "docs/how-to/read.md"


def documented() -> list[str]:
    """Return the names in the table of the page, in its order."""
    table = PAGE.read_text().partition("<!-- checkpoint:")[2].partition("<!-- /checkpoint -->")[0]
    return re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)


def fields_of(side: Side) -> set[str]:
    """Return the names in the current checkpoint."""
    return {name.decode() for name in cast("list[bytes]", side.redis.hkeys(side.keys.checkpoint))}


def test_every_field_of_a_checkpoint_is_documented(server: Server) -> None:
    """The page lists exactly the fields that appear: after acquire, commit, a torn checkpoint, a lock, and a rebuild."""
    side = side_of(server)
    hole: Entry = entry("X", {"n": 1}, producer="q", seq=7)
    side.add([*story(), hole])
    drain(server)
    found = fields_of(side)
    calls.run(side.redis, calls.lock_run(side.keys, 1))
    found |= fields_of(side)
    rebuild_run(side.redis, side.keys, settings_of(server))
    found |= fields_of(side)
    side.redis.hset(side.keys.checkpoint, "version", "torn")
    drain(server)
    found |= fields_of(side)

    names = documented()
    assert sorted(names) == sorted(found)
    assert len(names) == len(set(names))
