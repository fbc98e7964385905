"""Snapshots in other schemas: readers upgrade older ones, and refuse newer ones."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from sanctum_bus.errors import UnknownSchema
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from tests.support.commands import sanctum
from tests.support.reader_runs import RUN, Training, ticks
from tests.support.readers import Shell
from tests.support.servers import Server


def _step(_name: str, fields: Fields) -> Fields:
    return {("count" if field == "times" else field): value for field, value in fields.items()}


def _write_older(training: Training) -> None:
    """Turn the snapshot of ticks into one that a worker of schema 0 would have written."""
    section = training.keys.section("event:TICK.a")
    count = cast("bytes", training.client.hget(section, "count"))
    training.client.hset(section, "times", count.decode())
    training.client.hdel(section, "count")
    training.client.hset(training.keys.checkpoint, "schema", 0)


def test_an_older_snapshot_is_read_as_one_of_today(
    training: Training, reader: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reader and worker upgrade an older snapshot in the same way, so their snapshots can be merged."""
    monkeypatch.setattr(schema, "STEPS", {0: _step} | schema.STEPS)
    training.tick()
    training.fold()
    _write_older(training)

    before = reader.snapshot(RUN)
    training.fold()
    after = reader.snapshot(RUN)

    assert ticks(before) == {"a": 1}
    assert before.schema == after.schema == SCHEMA_VERSION
    assert before.sections == after.sections
    assert (
        reader.snapshot(RUN, since=(before.version, after.generation)).merged_onto(before).sections
        == after.sections
    )


def test_a_newer_snapshot_is_refused(training: Training, reader: Shell) -> None:
    """A snapshot of a newer version is refused. The error names both schemas, and the upgrade."""
    training.tick()
    training.fold()
    view = reader.snapshot(RUN)
    training.client.hset(training.keys.checkpoint, "schema", SCHEMA_VERSION + 1)

    asks: tuple[Callable[[], Any], ...] = (
        lambda: reader.snapshot(RUN),
        lambda: reader.snapshot(RUN, since=view),
        lambda: next(reader.follow(RUN)),
    )
    for ask in asks:
        with pytest.raises(UnknownSchema, match=r"schema 2.*schema 1 or older\. Upgrade"):
            ask()


def test_a_snapshot_that_becomes_newer_ends_its_followers(training: Training, reader: Shell) -> None:
    """A follower ends with the error if a newer version acquires the run."""
    training.tick()
    training.fold()
    views = reader.follow(RUN, poll_s=0.02)
    next(views)
    training.client.hset(training.keys.checkpoint, "schema", SCHEMA_VERSION + 1)

    with pytest.raises(UnknownSchema, match="Upgrade"):
        next(views)


def test_commands_say_so(training: Training, valkey: Server) -> None:
    """`show` and `doctor` name the upgrade. The list of runs marks the run, and shows the others."""
    training.tick()
    other = Training(valkey, "other")
    other.tick()
    other.fold()
    training.client.hset(training.keys.checkpoint, "schema", SCHEMA_VERSION + 1)

    shown = sanctum("show", RUN, url=valkey.url)
    listed = sanctum("runs", "--json", url=valkey.url).json_lines
    examined = sanctum("doctor", "--json", url=valkey.url).json["findings"]

    assert shown.status == 1
    assert "Upgrade Sanctum" in shown.err
    assert {run["run_id"]: run["state"] for run in listed} == {RUN: "unknown schema", "other": "current"}
    assert [one["where"] for one in examined if "Upgrade Sanctum" in one["seen"]] == [RUN]
