"""The guards of a commit: each refuses before the first write, and the loop recovers automatically."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from sanctum_bus.errors import CommitRefused
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.worker.store import RunStore
from tests.support.servers import Server
from tests.support.worker_rig import Rig, Side, assert_is_fold, plain, rigged, side_of, story

Hand = Callable[[Side], object]


class Disturbed(RunStore):
    """A store that is disturbed once: before the nth read or before the nth commit."""

    side: Side
    before_read: dict[int, Hand]
    before_commit: dict[int, Hand]
    refusals: list[str]
    reads = 0
    commits = 0

    async def read(self, count: int) -> Entries:
        """Disturb, then read."""
        self.reads += 1
        self.before_read.get(self.reads, bool)(self.side)
        return await super().read(count)

    async def commit(self, *given: Any, **named: Any) -> Entries:
        """Disturb, then commit; a refused commit has written nothing."""
        self.commits += 1
        self.before_commit.get(self.commits, bool)(self.side)
        before = self.side.dump()
        try:
            return await super().commit(*given, **named)
        except CommitRefused as error:
            assert self.side.dump() == before
            self.refusals.append(error.reason)
            raise


class Case(NamedTuple):
    """A disturbance, when it happens, and which guard detects it."""

    name: str
    hand: Hand
    guard: str
    read: int = 0
    commit: int = 0


def _robber(side: Side, *, acks: bool) -> None:
    """Append two entries, and read them as another consumer of the same group."""
    ids = side.add(plain(2, first=100))
    side.redis.xreadgroup("sanctum", "debug", {side.keys.events: ">"})
    if acks:
        side.redis.xack(side.keys.events, "sanctum", *ids)


def _late_robber(side: Side) -> None:
    _robber(side, acks=False)
    side.add(plain(2, first=200))


def _skip(side: Side) -> None:
    side.redis.xgroup_setid(side.keys.events, "sanctum", side.stream()[2][0])


def _append_and_skip(side: Side) -> None:
    side.add(plain(2, first=100))
    side.redis.xgroup_setid(side.keys.events, "sanctum", "$")


def _ack(side: Side) -> None:
    side.redis.xack(side.keys.events, "sanctum", side.stream()[-2][0])


def _replace(name: str) -> Hand:
    def hand(side: Side) -> None:
        side.redis.delete(side.keys.base + name)
        side.redis.set(side.keys.base + name, "x")

    return hand


CASES = [
    Case(
        "A12: a take-over",
        lambda side: side.redis.hincrby(side.keys.checkpoint, "generation", 9),
        "generation",
        commit=1,
    ),
    Case(
        "another version",
        lambda side: side.redis.hset(side.keys.checkpoint, "version", "0-1"),
        "version",
        commit=1,
    ),
    Case("A6: a hand-made XACK", _ack, "pending", commit=1),
    Case(
        "A6: DELCONSUMER",
        lambda side: side.redis.xgroup_delconsumer(side.keys.events, "sanctum", "owner"),
        "pending",
        commit=1,
    ),
    Case("A6: SETID forward before a read", _skip, "first", read=1),
    Case("A6: SETID forward at the end", _append_and_skip, "robbed", commit=1),
    Case(
        "A6: SETID backward",
        lambda side: side.redis.xgroup_setid(side.keys.events, "sanctum", "0"),
        "first",
        commit=1,
    ),
    Case("A6: another consumer in the middle", _late_robber, "pending", commit=1),
    Case("A5: stolen at the end", lambda side: _robber(side, acks=False), "pending", read=2),
    Case(
        "A5: stolen and acknowledged at the end",
        lambda side: _robber(side, acks=True),
        "robbed",
        read=2,
    ),
    Case(
        "P9: the group is gone",
        lambda side: side.redis.xgroup_destroy(side.keys.events, "sanctum"),
        "group",
        commit=1,
    ),
    Case(
        "A7: a section is gone",
        lambda side: side.redis.delete(side.keys.section("env:0")),
        "section",
        commit=1,
    ),
    Case("P22: a section is a string", _replace("env:0"), "section", commit=1),
    *[
        Case(f"P22: {name} is a string", _replace(name), "wrongtype", commit=1)
        for name in ("sections", "coverage")
    ],
    *[
        Case(f"P22: {name} is a string", _replace(name), "wrongtype", commit=1)
        for name in ("log", "batches", "dead", "recent")
    ],
    Case("P22: the checkpoint is a string", _replace("checkpoint"), "checkpoint", commit=1),
    Case(
        "the checkpoint is gone", lambda side: side.redis.delete(side.keys.checkpoint), "checkpoint", commit=1
    ),
    Case(
        "A2: the log is ahead",
        lambda side: side.redis.xadd(side.keys.log, {"by": "hand"}, id="9999999999999-0"),
        "log",
        commit=1,
    ),
]


def _run_disturbed(server: Server, case: Case, **given: object) -> list[str]:
    async def use(rig: Rig) -> list[str]:
        assert isinstance(rig.store, Disturbed)
        rig.store.side, rig.store.refusals = rig.side, []
        rig.store.before_read = {case.read: case.hand}
        rig.store.before_commit = {case.commit: case.hand}
        await rig.drain()
        return rig.store.refusals

    return rigged(server, use, kind=Disturbed, **given)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_a_refused_commit_writes_nothing_and_the_loop_recovers(server: Server, case: Case) -> None:
    """Each guard, from the first entry on: it refuses by its name, nothing is written, and the first restart recovers."""
    side = side_of(server)
    side.add(story()[:3])
    if case.guard == "section":
        rigged(server, lambda rig: rig.drain())
    side.add(story()[3:])

    assert _run_disturbed(server, case) == [case.guard]

    assert_is_fold(side)
    assert side.pending() == 0


LATER = [case for case in CASES if case.guard in {"generation", "pending", "first", "robbed", "group"}]


@pytest.mark.parametrize("case", LATER, ids=lambda case: str(case.name))
def test_a_run_under_way_recovers_in_place(valkey: Server, case: Case) -> None:
    """The same after some commits: no committed entry is folded twice, and no log line is lost."""
    side = side_of(valkey)
    side.add(story())
    rigged(valkey, lambda rig: rig.drain())
    side.add(story(first=8))

    assert _run_disturbed(valkey, case) == [case.guard]

    assert_is_fold(side)


def test_a_thief_beyond_the_batch_is_no_reason_to_refuse(server: Server) -> None:
    """A1: entries that another consumer received after the last entry of a batch do not stop the batch."""
    side = side_of(server)
    side.add(plain(4))

    async def use(rig: Rig) -> None:
        aggregate, lease, in_flight = await rig.begin(2)
        side.redis.xreadgroup("sanctum", "debug", {side.keys.events: ">"})
        await rig.commit(aggregate, lease, in_flight)

    rigged(server, use)

    assert_is_fold(side, side.stream()[:2])


def test_a_key_that_the_index_does_not_name_is_overwritten(server: Server) -> None:
    """A7: a key in the place of a new section is deleted first, whatever its type; none of its content stays."""
    side = side_of(server)
    side.redis.set(side.keys.section("env:0"), "x")
    side.redis.hset(side.keys.section("run"), "old", "1")
    side.add(story())

    rigged(server, lambda rig: rig.drain())

    assert_is_fold(side)


def test_a_commit_that_was_sent_twice_counts_once(server: Server) -> None:
    """P1: the second of two equal commits, as a retry would send it, is refused and writes nothing."""
    side = side_of(server)
    side.add(story())

    async def use(rig: Rig) -> str:
        aggregate, lease, in_flight = await rig.begin()
        await rig.commit(aggregate, lease, in_flight)
        before = side.dump()
        with pytest.raises(CommitRefused) as caught:
            await rig.commit(aggregate, lease, in_flight)
        assert side.dump() == before
        return caught.value.reason

    assert rigged(server, use) == "version"
    assert_is_fold(side)


def test_a_late_commit_of_a_frozen_owner_is_fenced(server: Server) -> None:
    """A12: an owner that was replaced in the middle of a batch writes nothing, and takes nothing from the new owner."""
    side = side_of(server)
    side.add(story())

    async def use(rig: Rig) -> str:
        frozen = await rig.begin()
        await rig.drain()
        before = side.dump()
        with pytest.raises(CommitRefused) as caught:
            await rig.commit(*frozen)
        assert side.dump() == before
        return caught.value.reason

    assert rigged(server, use) == "generation"
    assert_is_fold(side)
