"""Snapshots of other schemas: an older one is upgraded, a newer one is left unchanged; none is misread."""

from typing import cast

import pytest

from sanctum_bus.errors import RestartRun, Unavailable
from sanctum_bus.ops.rebuild import rebuild_run
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from tests.support.servers import Server
from tests.support.worker_rig import Rig, Side, assert_is_fold, drain, rigged, settings_of, side_of, story
from tests.support.worker_task import at_work, wait_for_fold, wait_for_words

#: The name of the number of environments in the older schema of these tests.
OLD_NAME = "environments"


def _step(name: str, fields: Fields) -> Fields:
    if name != "run":
        return fields
    return {("n_envs" if field == OLD_NAME else field): value for field, value in fields.items()}


@pytest.fixture(name="older")
def _older(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a schema 0, with one upgrade step."""
    monkeypatch.setattr(schema, "STEPS", {0: _step} | schema.STEPS)


def _write_older(side: Side) -> None:
    """Write the snapshot as a worker of schema 0 would have written it."""
    run = side.keys.section("run")
    number = cast("bytes", side.redis.hget(run, "n_envs"))
    side.redis.hset(run, OLD_NAME, number.decode())
    side.redis.hdel(run, "n_envs")
    side.redis.hset(side.keys.checkpoint, "schema", 0)


def test_there_is_a_step_from_every_schema_that_there_was() -> None:
    """A step is never removed: every later version upgrades what any version has written."""
    assert sorted(schema.STEPS) == list(range(1, SCHEMA_VERSION))


@pytest.mark.usefixtures("older")
def test_an_older_snapshot_is_brought_up_to_date(server: Server) -> None:
    """After the upgrade the snapshot continues as if it had always had this schema, also if the stream is trimmed."""
    side = side_of(server)
    side.add(story())
    drain(server)
    told = side.stream()
    _write_older(side)
    side.redis.xtrim(side.keys.events, maxlen=0)

    drain(server)

    assert_is_fold(side, told)
    assert side.checkpoint("schema") == str(SCHEMA_VERSION)

    side.add(story(first=8))
    told += side.stream()
    drain(server)

    assert_is_fold(side, told)


@pytest.mark.usefixtures("older")
def test_it_is_older_until_all_of_it_is_up_to_date(server: Server) -> None:
    """Sections and their schema change in one commit: a worker that dies before it leaves the older snapshot."""
    side = side_of(server)
    side.add(story())
    drain(server)
    _write_older(side)
    found = side.sections()

    async def take_over_and_die(rig: Rig) -> None:
        await rig.begin()

    rigged(server, take_over_and_die)

    assert side.sections() == found
    assert side.checkpoint("schema") == "0"

    drain(server)

    assert_is_fold(side)


@pytest.mark.parametrize("written", [None, "0", "one", "-1", "1.0"])
def test_a_schema_that_never_was_is_a_new_history(valkey: Server, written: str | None) -> None:
    """A checkpoint with an unknown schema is not whole: the run is folded again."""
    side = side_of(valkey)
    side.add(story())
    drain(valkey)
    _write_older(side)
    if written is None:
        side.redis.hdel(side.keys.checkpoint, "schema")
    else:
        side.redis.hset(side.keys.checkpoint, "schema", written)

    drain(valkey)

    assert_is_fold(side)
    assert side.checkpoint("schema") == str(SCHEMA_VERSION)


def test_a_newer_snapshot_is_left_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that a newer version has written is neither folded nor changed, and the error recommends an upgrade."""
    monkeypatch.setattr("sanctum_bus.connection.retry.FIRST_BACKOFF_S", 0.001)
    side = _newer(server)
    found = side.dump()

    with pytest.raises(RestartRun, match=r"schema 2.*Upgrade Sanctum"):
        drain(server)

    assert side.dump() == found


def test_a_newer_snapshot_is_not_rebuilt(valkey: Server) -> None:
    """A rebuild of an older version does not replace it either."""
    side = _newer(valkey)
    found = side.dump()

    with pytest.raises(Unavailable, match=r"schema 2.*Upgrade Sanctum"):
        rebuild_run(side.redis, side.keys, settings_of(valkey))

    assert side.dump() == found


def test_a_newer_snapshot_is_said_once_and_keeps_no_other_run(valkey: Server) -> None:
    """A running worker logs the refusal once, folds the other runs, and continues when the schema is known again."""
    newer, other = _newer(valkey), side_of(valkey, "other")
    newer.add(story(first=8))
    with at_work(valkey) as lines:
        wait_for_words(lines, "Upgrade Sanctum", "run reloaded")
        for first in range(0, 48, 8):
            other.add(story(first))
            wait_for_fold(other)
        said = [line for line in lines if "Upgrade Sanctum" in line.get("error", "")]
        newer.redis.hset(newer.keys.checkpoint, "schema", SCHEMA_VERSION)
        wait_for_fold(newer)

    assert [line["kind"] for line in said] == ["schema"]
    assert_is_fold(newer)
    assert_is_fold(other)


def _newer(server: Server) -> Side:
    """Write the run's snapshot as a later version would."""
    side = side_of(server)
    side.add(story())
    drain(server)
    side.redis.hset(side.keys.checkpoint, "schema", SCHEMA_VERSION + 1)
    return side
