"""Acquiring a run: whatever happened to its keys, the worker ends with the fold of the stream."""

from collections.abc import Callable

import pytest

from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.worker.store import Lease, Loaded, RunStore
from tests.support.fold_run import entry
from tests.support.servers import Server
from tests.support.worker_rig import (
    Rig,
    Side,
    assert_is_fold,
    differences,
    drain,
    plain,
    rigged,
    side_of,
    story,
)

Hand = Callable[[Side], object]


def _half_written(side: Side) -> None:
    """Leave what a failed commit leaves: the torn mark, a section with an extra field, and a section that no index names."""
    side.redis.hset(side.keys.checkpoint, "version", "torn")
    side.redis.hset(side.keys.section("env:0"), "old", "1")
    side.redis.hset(side.keys.section("env:1"), "accuracy_history", "[1")


def _section_of_another_type(side: Side) -> None:
    side.redis.delete(side.keys.section("run"))
    side.redis.rpush(side.keys.section("run"), 1)


LOST: dict[str, Hand] = {
    "A7 checkpoint": lambda side: side.redis.delete(side.keys.checkpoint),
    "A7 section": lambda side: side.redis.delete(side.keys.section("env:0")),
    "A7 section that no event changes": lambda side: side.redis.delete(side.keys.section("event:OLD")),
    "A7 index": lambda side: side.redis.delete(side.keys.sections),
    "A7 a name in the index": lambda side: side.redis.hdel(side.keys.sections, "policy"),
    "A7 index and checkpoint": lambda side: side.redis.delete(side.keys.checkpoint, side.keys.sections),
    "A7 coverage": lambda side: side.redis.delete(side.keys.coverage),
    "A2 half of a commit": _half_written,
    "P9 group": lambda side: side.redis.xgroup_destroy(side.keys.events, "sanctum"),
    "P12 consumer": lambda side: side.redis.xgroup_delconsumer(side.keys.events, "sanctum", "owner"),
    "P22 a section is a list": _section_of_another_type,
    "an invalid version": lambda side: side.redis.hset(side.keys.checkpoint, "version", "newest"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_went_is_made_again(server: Server, name: str) -> None:
    """A7, P9: a key that was removed between two workers is recreated from the stream; no old value stays in it."""
    side = side_of(server)
    side.add([entry("OLD", {"a": 1}), *story()])
    drain(server)
    LOST[name](side)
    side.add(story(first=8))

    drain(server)

    assert_is_fold(side)
    assert side.pending() == 0


@pytest.mark.parametrize(
    "name", ["A7 checkpoint", "A7 section", "A7 coverage", "A2 half of a commit", "P9 group"]
)
def test_what_goes_under_a_worker_is_made_again(valkey: Server, name: str) -> None:
    """A7, P9: the same while a worker has the run in memory."""
    side = side_of(valkey)
    side.add([entry("OLD", {"a": 1}), *story()])

    async def use(rig: Rig) -> None:
        await rig.drain()
        LOST[name](side)
        side.add(story(first=8))
        await rig.drain()

    rigged(valkey, use)

    assert_is_fold(side)


def test_an_emptied_server(server: Server) -> None:
    """P9, A10: after FLUSHALL the view is that of the new stream, and earlier events are counted under a separate name."""
    side = side_of(server)
    side.add(story())

    async def use(rig: Rig) -> None:
        await rig.drain()
        side.redis.flushall()
        side.add(story(first=8))
        await rig.drain()

    rigged(server, use)

    assert_is_fold(side)
    assert side.checkpoint("lost") == '{"before this history":8}'


def test_generations_never_repeat(server: Server) -> None:
    """A11: an acquisition after FLUSHALL has a greater generation than every one before, and each restart has a new one."""
    side = side_of(server)
    generations = []
    for _ in range(3):
        side.redis.flushall()
        side.add(plain(1))
        drain(server)
        drain(server)
        generations.append(int(side.checkpoint("generation")))

    assert generations == sorted(set(generations))


def test_a_replaced_stream(server: Server) -> None:
    """A18: a stream whose IDs are below the version is read from its beginning, and the state stays."""
    side = side_of(server)
    side.add(story())
    drain(server)
    before = side.stream()
    side.redis.delete(side.keys.events)
    side.add(story(first=8), ids=[f"1-{number}" for number in range(1, 9)])

    drain(server)

    expected = Aggregate()
    for entry_id, fields in [*before, *side.stream()]:
        expected.apply(entry_id, fields)
    assert differences(side, expected).keys() <= {"log", "batches", "entries"}
    assert side.lines(side.keys.log)[-1][0] == "1-8"


def test_no_entry_of_a_replaced_stream_is_forgotten_in_the_counts(valkey: Server) -> None:
    """A18: entries == events + parked + duplicates over the whole history, also after the stream was replaced."""
    side = side_of(valkey)
    side.add(plain(3))
    drain(valkey)
    side.redis.delete(side.keys.events)
    side.add(plain(2), ids=["1-1", "1-2"])

    drain(valkey)

    assert [side.checkpoint(name) for name in ("entries", "events")] == ["5", "5"]


def test_a_stream_that_others_cap_is_folded(server: Server) -> None:
    """P18: a client that trims entries while they are folded does not cause endless refusals of their commit."""
    side = side_of(server)
    side.add(plain(20))

    class Capped(RunStore):
        """A store whose stream is trimmed by one entry after each read."""

        async def read(self, count: int) -> Entries:
            entries = await super().read(count)
            side.redis.xtrim(
                side.keys.events, maxlen=side.redis.xlen(side.keys.events) - 1, approximate=False
            )
            return entries

    rigged(server, lambda rig: rig.drain(), kind=Capped, read_batch_size=4, commit_max_entries=4)

    assert side.checkpoint("events") == "20"


def test_a_lost_stream_is_waited_for(server: Server) -> None:
    """P10: a run whose stream was deleted causes no failure; it continues when a publisher creates the stream again."""
    side = side_of(server)
    side.add(story())
    drain(server)
    side.redis.delete(side.keys.events)
    sections = side.sections()

    drain(server)

    assert side.sections() == sections
    assert not side.redis.exists(side.keys.events)
    side.add(story(first=8))
    drain(server)
    assert side.checkpoint("entries") == "16"


def test_a_stray_line_costs_no_log(server: Server) -> None:
    """A2: a line that a client added to the log makes room for the next, and the lines before it stay."""
    side = side_of(server)
    side.add(story())
    drain(server)
    side.redis.xadd(side.keys.log, {"by": "hand"})
    side.add(story(first=8))

    drain(server)

    found = dict(side.lines(side.keys.log))
    expected = [line_id for line_id, _ in _lines_of(side)]
    assert [line_id for line_id in expected if line_id not in found] == []


def _lines_of(side: Side) -> list[tuple[str, object]]:
    aggregate = Aggregate()
    for entry_id, fields in side.stream():
        aggregate.apply(entry_id, fields)
    return list(aggregate.drain_changes().lines)


def test_a_rebuilt_history_parks_nothing_twice(server: Server) -> None:
    """A9: an entry that a new history parks again is in the dead letters once."""
    side = side_of(server)
    side.add(story())
    drain(server)
    side.redis.delete(side.keys.checkpoint)

    drain(server)

    assert len({fields[b"source_id"] for fields in side.dead()}) == len(side.dead()) == 1


def test_a_section_that_goes_while_it_is_loaded(valkey: Server) -> None:
    """A7, A12: a load that finds a section of the index empty restarts; it never folds onto an incomplete state."""
    side = side_of(valkey)
    side.add(story())
    drain(valkey)

    class Unlucky(RunStore):
        """A store that loses a section between the first acquisition and its load."""

        loads = 0

        async def load(self, lease: Lease) -> Loaded:
            self.loads += 1
            if self.loads == 1:
                side.redis.delete(side.keys.section("env:0"))
            return await super().load(lease)

    side.add(story(first=8))

    rigged(valkey, lambda rig: rig.drain(), kind=Unlucky)

    assert_is_fold(side)
