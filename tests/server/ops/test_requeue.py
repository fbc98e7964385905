"""Requeuing dead letters: each is folded once, however often the call is repeated, and whatever history starts."""

from typing import cast

import pytest
from redis.exceptions import ConnectionError as NoConnection

from sanctum_bus.errors import Unavailable, UnknownRun
from sanctum_bus.ops import dead_letters
from sanctum_bus.protocol.keys import RunKeys
from tests.support.fold_run import Entry
from tests.support.repairs import HOPELESS, Hooked, assert_is_right, counts, cut, letters, misnumbered
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_processes import worker_process
from tests.support.worker_rig import Rig, Side, drain, plain, rigged, side_of, story


def _parked(server: Server, *entries: Entry) -> tuple[Side, list[str]]:
    """Return a folded run whose stream ends with parked entries, and their IDs."""
    side = side_of(server)
    side.add(plain(2))
    ids = side.add(entries)
    drain(server)
    assert letters(side) == ids
    return side, ids


def _stand_ins(side: Side, source_id: str) -> list[Entry]:
    return [fields for _, fields in side.stream() if fields.get(b"requeued_from") == source_id.encode()]


def test_a_letter_is_folded_once(server: Server) -> None:
    """A9: a requeued entry is folded without a number and names the parked entry; a second call finds no dead letter."""
    side, (source,) = _parked(server, misnumbered(1))

    first = dead_letters.requeue(side.redis, side.keys, [source])
    second = dead_letters.requeue(side.redis, side.keys, [source])
    drain(server)

    assert (list(first.done), first.missing) == ([source], [])
    assert (second.done, second.missing) == ({}, [source])
    (stand_in,) = _stand_ins(side, source)
    assert stand_in == {
        b"type": b"BACK",
        b"event": misnumbered(1)[b"event"],
        b"requeued_from": source.encode(),
    }
    assert side.stream()[-1][0] == first.done[source]
    assert counts(side) == [4, 3, 1]
    assert_is_right(side)


@pytest.mark.parametrize("name", ["mark_active", "requeue"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_cut_at_any_moment(server: Server, name: str, when: str) -> None:
    """A9: whichever command or reply is lost, the same call again leaves each dead letter folded once."""
    side, ids = _parked(server, misnumbered(1), misnumbered(2))
    client = Hooked(side)
    getattr(client, when)[name] = cut

    with pytest.raises(NoConnection):
        dead_letters.requeue(client, side.keys, None)
    again = dead_letters.requeue(client, side.keys, ids)
    drain(server)

    assert sorted([*again.done, *again.missing]) == ids
    assert [len(_stand_ins(side, source)) for source in ids] == [1, 1]
    assert counts(side) == [6, 4, 2]
    assert_is_right(side)


def test_two_at_once(server: Server) -> None:
    """A9: of two clients that requeue the same dead letter at the same moment, one finds it missing; it is folded once."""
    side, (source,) = _parked(server, misnumbered(1))
    client = Hooked(side)
    client.before["requeue"] = lambda: dead_letters.requeue(side.redis, side.keys, [source])

    late = dead_letters.requeue(client, side.keys, [source])
    drain(server)

    assert (late.done, late.missing) == ({}, [source])
    assert len(_stand_ins(side, source)) == 1
    assert_is_right(side)


def test_parked_again(server: Server) -> None:
    """An entry that cannot be folded is parked each time with its first fields; nothing nests."""
    side, (source,) = _parked(server, HOPELESS)
    for _ in range(3):
        moved = dead_letters.requeue(side.redis, side.keys, None)
        drain(server)

        (letter,) = side.dead()
        assert letter[b"source_id"].decode() == moved.done[source]
        assert {name: value for name, value in letter.items() if name.startswith(b"raw.")} == {
            b"raw.type": b"X",
            b"raw.event": b"\xc1",
            b"raw.requeued_from": source.encode(),
        }
        assert_is_right(side)
        source = moved.done[source]
    assert counts(side) == [6, 2, 4]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_new_history_meets_both(server: Server, size: int) -> None:
    """A9: a new history parks the original and deletes it again; counts and dead letters are unchanged."""
    side, (good, bad) = _parked(server, misnumbered(1), HOPELESS)
    moved = dead_letters.requeue(side.redis, side.keys, None)
    drain(server)
    before = counts(side), letters(side)
    assert before == ([6, 3, 3], [moved.done[bad]])
    side.redis.delete(side.keys.checkpoint)

    drain(server, read_batch_size=size, commit_max_entries=size)

    assert (counts(side), letters(side)) == before
    assert len(_stand_ins(side, good)) == 1
    assert_is_right(side)


def test_a_letter_that_was_put_back_before(server: Server) -> None:
    """A9: between original and replacement a new history has the dead letter again; it is not requeued twice."""
    side, (source,) = _parked(server, misnumbered(1))
    dead_letters.requeue(side.redis, side.keys, None)
    drain(server)
    side.redis.delete(side.keys.checkpoint)

    async def use(rig: Rig) -> None:
        aggregate, lease, in_flight = await rig.begin(3)
        await rig.commit(aggregate, lease, in_flight)
        assert letters(side) == [source]
        with pytest.raises(Unavailable, match="is being processed again"):
            dead_letters.requeue(side.redis, side.keys, [source])

    rigged(server, use)
    drain(server)

    assert len(_stand_ins(side, source)) == 1
    assert dead_letters.requeue(side.redis, side.keys, None).done == {}
    assert_is_right(side)


def test_a_run_without_a_whole_snapshot(server: Server) -> None:
    """A dead letter is requeued only if the run has a whole snapshot."""
    side, _ = _parked(server, misnumbered(1))
    side.redis.hset(side.keys.checkpoint, "version", "torn")

    with pytest.raises(Unavailable, match="no whole snapshot"):
        dead_letters.requeue(side.redis, side.keys, None)

    assert side.redis.xlen(side.keys.events) == 3


@pytest.mark.parametrize("name", ["events", "dead"])
def test_where_a_key_has_the_wrong_type(server: Server, name: str) -> None:
    """If the stream or the dead letters have the wrong type, nothing is requeued, and the error names the key."""
    side, _ = _parked(server, misnumbered(1), misnumbered(2))
    key = side.keys.base + name
    side.redis.rename(key, "aside")
    side.redis.set(key, "x")
    before = side.dump()

    with pytest.raises(Unavailable, match=f"{name} has type string, expected stream"):
        dead_letters.requeue(side.redis, side.keys, None)

    assert side.dump() == before


def test_many_fields(server: Server) -> None:
    """An entry of more than a thousand fields is requeued with all of them; one beyond the server's limit stays."""
    many = {f"f{number}".encode(): b"v" for number in range(3490)}
    more = {f"f{number}".encode(): b"v" for number in range(3600)}
    side, (source, too_large) = _parked(server, misnumbered(1) | many, misnumbered(2) | more)

    handled = dead_letters.requeue(side.redis, side.keys, None)
    drain(server)

    assert list(handled.done) == [source]
    assert list(handled.refused) == [too_large]
    assert handled.missing == []
    (stand_in,) = _stand_ins(side, source)
    assert many.items() <= stand_in.items()
    assert_is_right(side)


def test_many_letters(server: Server) -> None:
    """All dead letters are requeued, page by page; those that are added meanwhile stay for the next call."""
    side, ids = _parked(server, *(misnumbered(number) for number in range(120)), HOPELESS)
    client = Hooked(side)
    client.before["requeue"] = lambda: side.redis.xadd(side.keys.dead, {"source_id": "9-9", "raw.type": "X"})

    handled = dead_letters.requeue(client, side.keys, None)

    assert list(handled.done) == ids
    assert letters(side) == ["9-9"]


def test_only_what_was_asked_for(server: Server) -> None:
    """Other dead letters stay, and unknown IDs are reported."""
    side, (first, second) = _parked(server, misnumbered(1), misnumbered(2))

    handled = dead_letters.requeue(side.redis, side.keys, ["1-1", second])
    drain(server)

    assert (list(handled.done), handled.missing) == ([second], ["1-1"])
    assert letters(side) == [first]
    assert_is_right(side)


def test_numbers_go_on(server: Server) -> None:
    """A requeued entry does not affect its producer's sequence: there is no gap before the next event, and no duplicate."""
    side = side_of(server)
    numbered = story()
    side.add(numbered[:6])
    drain(server)
    (source,) = letters(side)

    dead_letters.requeue(side.redis, side.keys, [source])
    side.add(numbered[6:])
    drain(server)

    assert (side.checkpoint("lost"), side.checkpoint("duplicates")) == ("{}", "0")
    assert_is_right(side)


def test_a_stream_that_is_gone(server: Server) -> None:
    """A dead letter outlives its stream: it is requeued into a new one, and folded."""
    side, _ = _parked(server, misnumbered(1))
    side.redis.delete(side.keys.events)

    dead_letters.requeue(side.redis, side.keys, None)
    drain(server)

    assert counts(side) == [4, 3, 1]
    assert letters(side) == []


def test_a_run_that_sleeps_is_woken(server: Server) -> None:
    """The index of runs shows the activity, so that a worker that does not scan finds the run."""
    side, _ = _parked(server, misnumbered(1))
    side.redis.zadd("nissa:runs", {"r": 1.0})

    dead_letters.requeue(side.redis, side.keys, None)

    assert cast("float", side.redis.zscore("nissa:runs", "r")) > 1e12


def test_under_a_worker_at_work(server: Server) -> None:
    """A9: a worker that owns the run folds the requeued entries, while a publisher continues."""
    side = side_of(server)
    side.add([*plain(50), misnumbered(1), HOPELESS, *plain(50, first=50)])
    with worker_process(server):
        wait_until(lambda: len(letters(side)) == 2, "both are parked")
        for round_ in range(1, 4):
            handled = dead_letters.requeue(side.redis, side.keys, None)
            side.add(plain(20, first=100 * round_))
            last = handled.done[max(handled.done)]
            wait_until(lambda last=last: letters(side) == [last], "the hopeless entry is parked again")  # type: ignore[misc]
        wait_until(lambda: side.checkpoint() == side.stream()[-1][0], "all is folded")

    assert counts(side) == [166, 161, 5]
    assert_is_right(side)


def test_an_unknown_run(server: Server) -> None:
    """Requeuing or deleting dead letters of an unknown run is refused, and creates no key."""
    side = side_of(server)
    for call in (dead_letters.requeue, dead_letters.delete):
        with pytest.raises(UnknownRun, match="no run 'ghost'"):
            call(side.redis, RunKeys("ghost"), None)
    assert side.redis.keys() == []


def test_no_letters(server: Server) -> None:
    """Without dead letters, nothing is requeued or deleted."""
    side = side_of(server)
    side.add(plain(1))
    drain(server)
    before = side.dump()

    for call in (dead_letters.requeue, dead_letters.delete):
        handled = call(side.redis, side.keys, None)
        assert (handled.done, handled.missing, handled.refused) == ({}, [], {})
    assert side.dump() == before


def test_dropping(server: Server) -> None:
    """A deleted dead letter is removed once; the count of parked entries and the other dead letters stay."""
    side, (first, second) = _parked(server, misnumbered(1), HOPELESS)

    one = dead_letters.delete(side.redis, side.keys, [first, "1-1"])
    again = dead_letters.delete(side.redis, side.keys, [first])
    drain(server)

    assert (one.done, one.missing) == ({first: ""}, ["1-1"])
    assert (again.done, again.missing) == ({}, [first])
    assert letters(side) == [second]
    assert counts(side) == [4, 2, 2]
    assert list(dead_letters.delete(side.redis, side.keys, None).done) == [second]
    assert letters(side) == []
