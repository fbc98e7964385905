"""Entries that harm their reader: a failing fold, a sequence gap, an entry that kills the process."""

from collections.abc import Iterator

import pytest
import structlog

from sanctum_bus.events.decode import Event
from sanctum_bus.fold import aggregate as aggregate_module
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.dispatch import fold as real_fold
from sanctum_bus.fold.log_line import LogFields
from sanctum_bus.fold.recovery import QuarantinedEntry
from sanctum_bus.fold.state import State
from tests.support.fold_run import Entry, entry
from tests.support.servers import Server
from tests.support.worker_rig import Rig, assert_is_fold, drain, plain, rigged, side_of, story


class Killed(BaseException):
    """The process was killed: no handler catches this."""


@pytest.fixture(name="deadly")
def _deadly(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Yield the IDs of entries whose reader dies, unless they are parked unread."""
    ids: set[str] = set()
    feed = Aggregate.apply

    def feeding(self: Aggregate, entry_id: str, fields: Entry) -> None:
        if entry_id in ids and entry_id not in self.memo.quarantined:
            raise Killed
        feed(self, entry_id, fields)

    monkeypatch.setattr(Aggregate, "apply", feeding)
    yield ids
    monkeypatch.undo()


def _drain_until_it_lives(server: Server) -> int:
    """Drain with one worker after another, and return how many died."""
    for deaths in range(60):
        try:
            rigged(server, lambda rig: rig.drain())
        except Killed:
            continue
        return deaths
    pytest.fail("sixty workers died")


@pytest.mark.parametrize("place", [0, 1, 30])
def test_an_entry_that_kills_its_readers(server: Server, deadly: set[str], place: int) -> None:
    """A17: the entry is parked unread after a few deaths, wherever in the backlog it is; all other entries are folded."""
    side = side_of(server)
    ids = side.add(plain(40))
    deadly.add(ids[place])

    deaths = _drain_until_it_lives(server)

    assert deaths <= 10
    assert [line[b"source_id"].decode() for line in side.dead()] == [ids[place]]
    assert b"killed its reader" in side.dead()[0][b"reason"]
    assert (side.checkpoint("events"), side.checkpoint("parked"), side.checkpoint("attempts")) == (
        "39",
        "1",
        "0",
    )


def test_an_idle_run_is_not_suspected(server: Server) -> None:
    """A17: deaths that another run caused do not count against an entry that arrives after an ownership check."""
    side = side_of(server)
    side.add(plain(3))
    drain(server)
    side.redis.hset(side.keys.checkpoint, "attempts", 7)

    async def use(rig: Rig) -> None:
        await rig.drain()
        side.add(plain(2, first=3))
        await rig.drain()

    rigged(server, use)

    assert_is_fold(side)


def test_a_section_that_was_spoiled_by_hand(server: Server) -> None:
    """Events that a section does not accept are parked one by one; all others are folded, and the worker does not end."""
    side = side_of(server)
    side.add([entry("OTHER", {"env_id": 0}, producer="p", seq=1)])
    drain(server)
    side.redis.hset(side.keys.section("event:OTHER:0"), "count", "no number")
    told = side.add(
        [entry("OTHER", {"env_id": env}, producer="p", seq=seq) for seq, env in ((2, 0), (3, 1), (4, 0))]
    )

    drain(server)

    assert [line[b"source_id"].decode() for line in side.dead()] == [told[0], told[2]]
    reason = side.dead()[0][b"reason"].decode()
    assert reason.startswith("the fold failed in event:OTHER:0: TypeError(")
    assert reason.endswith("; if a section was changed by hand, rebuild the run")
    assert (side.checkpoint("events"), side.checkpoint("parked")) == ("2", "2")
    assert side.redis.hget(side.keys.section("event:OTHER:1"), "count") == b"1"


def test_refusals_make_nobody_guilty(valkey: Server) -> None:
    """A17: acquisitions after refusals, time-outs and gaps do not count as deaths."""
    side = side_of(valkey)
    side.add(plain(3))

    async def use(rig: Rig) -> None:
        for _ in range(7):
            await rig.loop._acquire(rig.stop)
            rig.loop._recovery.blameless, rig.loop.session = True, None
        await rig.drain()

    rigged(valkey, use)

    assert_is_fold(side)


@pytest.fixture(name="spoiling")
def _spoiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let folds of the type SPOILS write, and then fail."""
    fold = real_fold

    def folding(state: State, event: Event) -> LogFields | None:
        line = fold(state, event)
        if event.type == "SPOILS":
            raise ZeroDivisionError
        return line

    monkeypatch.setattr(aggregate_module, "fold", folding)
    yield
    monkeypatch.undo()


@pytest.mark.parametrize("count", [1, 30])
def test_folds_that_fail_half_way(server: Server, spoiling: None, count: int) -> None:
    """P33: each is parked with its reason and its bytes, without delay; nothing of its fold stays in the snapshot."""
    side = side_of(server)
    bad = [entry("SPOILS", {"n": number}, event_id=f"b{number}") for number in range(count)]
    side.add([*story(), *bad, *plain(2)])

    drain(server)

    assert_is_fold(side)
    assert side.checkpoint("parked") == str(count + 1)
    assert [line[b"raw.event"] for line in side.dead()][1:] == [one[b"event"] for one in bad]
    assert "event:SPOILS" not in side.sections()


@pytest.mark.parametrize("count", [1, 30])
def test_holes_are_believed_at_the_second_sight(server: Server, count: int) -> None:
    """A18: each gap is counted once, however many there are in one batch, and none stops a drain."""
    side = side_of(server)
    side.add([entry("X", {}, producer="p", seq=seq) for seq in range(1, 2 * count + 2, 2)])

    drain(server)

    assert_is_fold(side)
    assert side.checkpoint("lost") == f'{{"gap":{count}}}'


def test_what_was_learned_is_of_one_history(valkey: Server) -> None:
    """A17: a quarantined ID from before FLUSHALL does not affect the entry that has this ID afterwards."""
    side = side_of(valkey)

    async def use(rig: Rig) -> None:
        side.add(plain(1), ids=["1-1"])
        rig.loop._recovery.memo.quarantined["1-1"] = QuarantinedEntry("spoiled", plain(1)[0])
        await rig.drain()
        assert side.checkpoint("parked") == "1"
        side.redis.flushall()
        side.add(plain(1), ids=["1-1"])
        await rig.drain()

    rigged(valkey, use)

    assert_is_fold(side)


def test_what_was_learned_is_of_one_entry(valkey: Server) -> None:
    """A17: after a failover another entry may have the ID of a quarantined one; it is folded."""
    side = side_of(valkey)

    async def use(rig: Rig) -> None:
        side.add(plain(1), ids=["1-1"])
        rig.loop._recovery.memo.quarantined["1-1"] = QuarantinedEntry("spoiled", plain(1, first=7)[0])
        await rig.drain()

    rigged(valkey, use)

    assert_is_fold(side)
    assert side.checkpoint("parked") == "0"


def test_a_run_is_said_to_be_taken_over_once(server: Server) -> None:
    """A restart that confirms a gap is not logged: the run is reported as acquired once."""
    side = side_of(server)
    side.add([entry("X", {}, producer="p", seq=seq) for seq in (1, 3, 7)])

    with structlog.testing.capture_logs() as lines:
        rigged(server, lambda rig: rig.drain())

    assert side.checkpoint("attempts") == "0"
    assert side.checkpoint("entries") == "3"
    assert [line["event"] for line in lines] == ["run acquired"]
