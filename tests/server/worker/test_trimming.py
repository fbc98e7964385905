"""Trimming continues under the next owner; unread entries stay."""

from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_rig import Rig, Side, assert_is_fold, drain, plain, rigged, side_of
from tests.support.worker_task import at_work, wait_for_fold

#: Entries that bursts may leave if 100 are retained: a burst, a part of the retained ones, and a node of a
#: stream.
_ENOUGH = 300

_BURSTS = 12


def _burst(side: Side, number: int, size: int = 50) -> list[str]:
    return side.add(plain(size, first=number * size))


def _is_trimmed(side: Side) -> bool:
    return 100 <= side.redis.xlen(side.keys.events) <= _ENOUGH


def test_drains(server: Server) -> None:
    """P18: drains of fewer entries than are retained leave as many as one owner would."""
    side = side_of(server)

    for number in range(_BURSTS):
        _burst(side, number)
        drain(server, stream_retain_entries=100)

    assert _is_trimmed(side)
    assert side.checkpoint("entries") == str(50 * _BURSTS)


def test_a_run_that_sleeps_between_bursts(server: Server) -> None:
    """P18: a run that becomes idle after each burst is trimmed like one that never does."""
    side = side_of(server)

    with at_work(server, stream_retain_entries=100, idle_timeout_s=0.02) as lines:
        for number in range(_BURSTS):
            _burst(side, number)
            wait_for_fold(side)
            wait_until(lambda: side.checkpoint("owner") == "", "the run is idle")

    assert sum(line["event"] == "run idle" for line in lines) >= _BURSTS
    assert _is_trimmed(side)


def test_changes_of_owner(server: Server) -> None:
    """P18: a run that restarts after each burst is trimmed, and an owner that retains fewer entries trims more."""
    side = side_of(server)

    async def use(rig: Rig) -> None:
        for number in range(_BURSTS):
            _burst(side, number)
            rig.loop.session = None
            await rig.drain()

    rigged(server, use, stream_retain_entries=100)
    assert _is_trimmed(side)
    _burst(side, _BURSTS)
    drain(server, stream_retain_entries=0)

    assert side.redis.xlen(side.keys.events) < 100 + 50


def test_a_checkpoint_without_marks(server: Server) -> None:
    """An owner continues the snapshot of a worker without trim points, and trims once enough entries have arrived."""
    side = side_of(server)
    _burst(side, 0, 1000)
    drain(server)
    side.redis.hdel(side.keys.checkpoint, "marks")

    for number in range(20, 24):
        _burst(side, number)
        drain(server, stream_retain_entries=100)

    assert _is_trimmed(side)


def test_what_nobody_has_read_is_not_trimmed(server: Server) -> None:
    """P18: with any number of owners, and with no entry to retain, all entries are folded."""
    side, entries = side_of(server), plain(1500)
    ids = side.add(entries)

    async def use(rig: Rig) -> None:
        while rig.side.checkpoint() != ids[-1]:
            await rig.turn()

    rigged(server, use, stream_retain_entries=0, read_batch_size=50, commit_max_entries=50)

    assert_is_fold(side, zip(ids, entries, strict=True))
    assert side.redis.xlen(side.keys.events) <= 150


def test_a_stream_that_was_replaced(server: Server) -> None:
    """A17: trim points of a replaced stream do not apply to a stream with lower IDs, where all entries are unread."""
    side = side_of(server)
    side.add(plain(90), ids=[f"9-{number}" for number in range(1, 91)])
    drain(server, stream_retain_entries=100)
    side.redis.delete(side.keys.events)
    entries = plain(1000, first=90)
    ids = side.add(entries, ids=[f"5-{number}" for number in range(1, 1001)])

    async def use(rig: Rig) -> None:
        await rig.turn()

    rigged(server, use, stream_retain_entries=10, read_batch_size=20, commit_max_entries=20)
    assert side.checkpoint("entries") == "110"
    assert side.redis.xlen(side.keys.events) == 1000
    rigged(server, lambda rig: rig.drain(), stream_retain_entries=10)

    assert side.checkpoint("entries") == "1090"
    assert side.checkpoint() == ids[-1]
