"""Rebuilding a run whose stream has lost entries: it is refused, or the missing entries are counted."""

from typing import Any

import pytest

from sanctum_bus.errors import Unavailable
from sanctum_bus.ops import stream_pages
from sanctum_bus.ops.rebuild import rebuild_run
from tests.support.fold_run import Entry, entry
from tests.support.repairs import Hook, Hooked, assert_is_right
from tests.support.servers import Server
from tests.support.worker_rig import Side, drain, settings_of, side_of

LOST = ("lost", "lost_ranges", "entries", "events")


def _numbered(count: int, first: int = 1) -> list[Entry]:
    return [entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(first, first + count)]


def _trim(side: Side, ids: list[str]) -> None:
    side.redis.xtrim(side.keys.events, minid=ids[4], approximate=False)


def _delete(side: Side, ids: list[str]) -> None:
    side.redis.xdel(side.keys.events, ids[2], ids[5])


def _cap(side: Side, ids: list[str]) -> None:
    side.redis.xtrim(side.keys.events, maxlen=len(ids) - 7, approximate=False)


@pytest.mark.parametrize(("hand", "gone"), [(_trim, 4), (_delete, 2), (_cap, 7)])
def test_a_trimmed_stream(server: Server, hand: Any, gone: int) -> None:
    """The error has the number of missing entries, and `--partial` has the result of a new history."""
    side = side_of(server)
    ids = side.add(_numbered(10))
    drain(server)
    hand(side, ids)
    before = side.dump()

    with pytest.raises(Unavailable, match=f"was trimmed, {gone} entries are missing.*--partial"):
        rebuild_run(side.redis, side.keys, settings_of(server))
    assert side.dump() == before
    built = rebuild_run(side.redis, side.keys, settings_of(server), partial=True)

    assert (built.missing, built.entries) == (gone, 10 - gone)
    assert sum(built.lost.values()) == gone
    assert_is_right(side)
    rebuilt = {name: side.checkpoint(name) for name in LOST}
    side.redis.delete(side.keys.checkpoint)
    drain(server)
    assert {name: side.checkpoint(name) for name in LOST} == rebuilt
    assert_is_right(side)


def test_what_was_told_is_not_told_again(server: Server) -> None:
    """After a partial rebuild, the next acquisition counts no loss twice, and every later loss once."""
    side = side_of(server)
    ids = side.add(_numbered(20))
    drain(server)
    side.redis.xtrim(side.keys.events, minid=ids[18], approximate=False)
    rebuild_run(side.redis, side.keys, settings_of(server), partial=True)
    told = side.checkpoint("lost_ranges")
    side.redis.xtrim(side.keys.events, maxlen=0, approximate=False)

    drain(server)
    assert side.checkpoint("lost_ranges") == told
    ids = side.add(_numbered(5, first=21))
    side.redis.xtrim(side.keys.events, maxlen=2, approximate=False)
    drain(server)

    assert side.checkpoint("lost") == '{"before this history":18,"gap":3}'
    assert '"entries":3' in side.checkpoint("lost_ranges").removeprefix(told[:-1])


@pytest.mark.parametrize(("hand", "gone"), [(_trim, 4), (_delete, 2), (_cap, 7)])
def test_trimmed_while_it_is_read(
    server: Server, monkeypatch: pytest.MonkeyPatch, hand: Any, gone: int
) -> None:
    """Entries that are removed before they are read are detected, and the rebuild is refused."""
    monkeypatch.setattr(stream_pages, "_PAGE", 2)
    side = side_of(server)
    ids = side.add(_numbered(10))
    drain(server)

    with pytest.raises(Unavailable, match=f"{gone} entries are missing"):
        rebuild_run(_Trimming(side, lambda: hand(side, ids)), side.keys, settings_of(server))

    assert side.checkpoint("entries") == "10"


def test_trimmed_while_a_part_is_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--partial` the rebuild starts again with the remaining entries, and counts all that are missing."""
    monkeypatch.setattr(stream_pages, "_PAGE", 2)
    side = side_of(server)
    ids = side.add(_numbered(10))
    drain(server)
    side.redis.xtrim(side.keys.events, minid=ids[1], approximate=False)

    built = rebuild_run(
        _Trimming(side, lambda: side.redis.xtrim(side.keys.events, maxlen=4, approximate=False)),
        side.keys,
        settings_of(server),
        partial=True,
    )

    assert (built.missing, built.entries) == (6, 4)
    assert_is_right(side)


def test_trimmed_behind_the_reader(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that are removed after they were read are not lost: the snapshot is the fold of all of them."""
    monkeypatch.setattr(stream_pages, "_PAGE", 4)
    side = side_of(server)
    ids = side.add(_numbered(10))
    drain(server)
    sections = side.sections()

    built = rebuild_run(_Trimming(side, lambda: _trim(side, ids)), side.keys, settings_of(server))

    assert (built.missing, built.entries, built.lost) == (0, 10, {})
    assert side.sections() == sections
    drain(server)
    assert side.checkpoint("lost_ranges") == "[]"


class _Trimming(Hooked):
    """A client under which the stream is trimmed after its first page was read.

    Args:
        side: the run.
        trim: trims the stream.
    """

    def __init__(self, side: Side, trim: Hook) -> None:
        super().__init__(side)
        self._trim = trim
        self._pipelines = 0

    def pipeline(self, *args: Any, **options: Any) -> Any:
        """Open a pipeline: the first one inspects the stream, and each further one reads a page."""
        self._pipelines += 1
        if self._pipelines == 3:
            self._trim()
        return super().pipeline(*args, **options)
