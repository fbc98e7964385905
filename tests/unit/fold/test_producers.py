"""Sequence numbers: duplicates, gaps and end-of-stream markers."""

import copy
from typing import Any

import pytest

from sanctum_bus.errors import UnconfirmedGap
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.fold.recovery import RecoveryMemo
from tests.support.fold_run import Entry, Run, entry


def _stream(*numbers: int, producer: str = "p") -> list[tuple[str, Entry]]:
    return [
        (f"{place}-0", entry("OTHER", {"seq_was": seq}, timestamp=float(place), producer=producer, seq=seq))
        for place, seq in enumerate(numbers, 1)
    ]


def _closed(place: int, seq: int, producer: str = "p") -> tuple[str, Entry]:
    return f"{place}-0", entry("_closed", {"sent": seq - 1, "dropped": 0}, producer=producer, seq=seq)


def test_in_order() -> None:
    """Consecutive numbers lose nothing, and the checkpoint has the last of each producer."""
    run = Run()

    for producer, seq in (("p", 1), ("q", 1), ("p", 2)):
        run.event("OTHER", {}, producer=producer, seq=seq)

    assert (run.counters.producers, run.counters.lost) == ({"p": 2, "q": 1}, {})


@pytest.mark.parametrize("again", [1, 2])
def test_what_came_before_is_a_duplicate(again: int) -> None:
    """A number at or below the producer's last is a duplicate: counted, and not folded."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    run.event("OTHER", {}, producer="p", seq=2)
    before = copy.deepcopy(run.sections)
    run.event("OTHER", {"new": 1}, producer="p", seq=again)

    assert run.sections == before
    assert (run.counters.duplicates, run.counters.events, run.counters.producers) == (1, 2, {"p": 2})


def test_a_duplicate_that_could_not_be_folded() -> None:
    """A duplicate is found by its number before it is decoded, so it does not park."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    run.raw({b"type": b"OTHER", b"event": b"\xc1", b"producer": b"p", b"seq": b"1"})

    assert (run.counters.duplicates, run.counters.parked) == (1, 0)


def test_an_undecodable_entry_has_its_number() -> None:
    """A parked entry was received: its number is not missing."""
    run = Run()

    run.raw({b"type": b"OTHER", b"event": b"\xc1", b"producer": b"p", b"seq": b"1"})
    run.event("OTHER", {}, producer="p", seq=2)

    assert (run.counters.parked, run.counters.events, run.counters.lost) == (1, 1, {})


def test_a_hole_is_suspected_first() -> None:
    """A gap that was not confirmed invalidates the aggregate."""
    aggregate = Aggregate()
    first, second = _stream(1, 4)

    aggregate.apply(*first)
    with pytest.raises(UnconfirmedGap) as caught:
        aggregate.apply(*second)

    gap = caught.value.gap
    assert (gap.producer, gap.last, gap.seq) == ("p", 1, 4)


def test_a_hole_that_is_still_there_is_believed() -> None:
    """A gap that shows again after the restart is confirmed, and counts as lost."""
    with pytest.raises(UnconfirmedGap) as caught:
        _feed_all(Aggregate(), _stream(1, 4))
    believing = Aggregate(memo=RecoveryMemo(confirmed={caught.value.gap}))

    _feed_all(believing, _stream(1, 4, 5))

    assert believing.counters.lost == {"gap": 2}
    assert believing.counters.events == 3


def test_another_hole_is_suspected_again() -> None:
    """A confirmed gap confirms no other gap."""
    with pytest.raises(UnconfirmedGap) as caught:
        _feed_all(Aggregate(), _stream(1, 4))

    with pytest.raises(UnconfirmedGap) as later:
        _feed_all(Aggregate(memo=RecoveryMemo(confirmed={caught.value.gap})), _stream(1, 4, 6))

    assert (later.value.gap.last, later.value.gap.seq) == (4, 6)


def _feed_all(aggregate: Aggregate, entries: list[tuple[str, Entry]]) -> None:
    for each in entries:
        aggregate.apply(*each)


def test_fold_entries_believes_by_itself() -> None:
    """An offline fold confirms any number of gaps."""
    aggregate = fold_entries(_stream(1, 4, 5, 9, 3))

    counters = aggregate.counters
    assert (counters.lost, counters.duplicates, counters.events) == ({"gap": 5}, 1, 4)
    assert counters.producers == {"p": 9}


def test_a_hole_of_each_producer() -> None:
    """Each producer has its own sequence."""
    entries = [
        *_stream(1, 3),
        *((f"9-{place}", fields) for place, (_, fields) in enumerate(_stream(1, 2, producer="q"))),
    ]

    assert fold_entries(entries).counters.lost == {"gap": 1}


def test_before_this_history() -> None:
    """The numbers before a producer's first entry are not a gap, but count as lost."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=5)
    run.event("OTHER", {}, producer="p", seq=6)

    assert run.counters.lost == {"before this history": 4}
    assert run.counters.events == 2


def test_entries_without_a_number() -> None:
    """An entry without producer and seq, as typed by hand, has no sequence."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    run.event("OTHER", {})
    run.event("OTHER", {}, producer="p", seq=2)

    assert (run.counters.events, run.counters.lost, run.counters.duplicates) == (3, {}, 0)


def test_an_entry_put_back() -> None:
    """A requeued dead letter is folded, whatever its number."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    run.event("OTHER", {}, producer="p", seq=2)
    run.raw({**entry("OTHER", {"back": 1}, producer="p", seq=1), b"requeued_from": b"1-0"})

    assert (run.counters.events, run.counters.duplicates) == (3, 0)
    assert run.section("event:OTHER")["back"] == 1


@pytest.mark.parametrize("seq", [b"x", b"", b"-1", b"0", b"1.5"])
def test_a_number_that_is_none(seq: bytes) -> None:
    """A seq that is not an integer of at least 1 parks the entry."""
    run = Run()

    run.raw({**entry("OTHER", {}, producer="p"), b"seq": seq})

    assert (run.counters.parked, run.counters.events) == (1, 0)


def test_a_producer_with_a_long_name() -> None:
    """An entry is parked if the name of its producer is over the limit."""
    run = Run()

    run.raw({**entry("OTHER", {}, producer="p" * 129, seq=1)})

    assert (run.counters.parked, run.counters.producers) == (1, {})


def test_a_goodbye_ends_the_run() -> None:
    """The run has ended when every producer has closed."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    run.event("OTHER", {}, producer="q", seq=1)
    run.event("_closed", {"sent": 1}, producer="p", seq=2)
    one = run.section("run")["status"]
    run.event("_closed", {"sent": 1}, producer="q", seq=2)

    assert (one, run.section("run")["status"]) == ("running", "ended")
    assert sorted(run.counters.closed) == ["p", "q"]


def test_another_producer_goes_on() -> None:
    """An event of a new producer after the end-of-stream markers of all others resumes the run."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    run.event("_closed", {"sent": 1}, producer="p", seq=2)
    run.event("OTHER", {}, producer="q", seq=1)

    assert run.section("run")["status"] == "running"


def test_a_new_start_is_running() -> None:
    """A start by another producer after the end resumes the run."""
    run = Run()

    run.start(producer="p", seq=1)
    run.event("_closed", {"sent": 1}, producer="p", seq=2)
    run.start(producer="q", seq=1)

    assert (run.section("run")["status"], run.section("run")["starts"]) == ("running", 2)


def test_a_lost_tail() -> None:
    """The end-of-stream marker has a number: a loss before it is counted."""
    counters = fold_entries([*_stream(1, 2), _closed(3, 6)]).counters

    assert sum(counters.lost.values()) == 3
    assert counters.closed == ["p"]


def test_a_goodbye_is_no_event() -> None:
    """The end-of-stream marker counts as an entry, but not as an event."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    before = dict(run.section("event:OTHER"))
    run.event("_closed", {"sent": 1, "dropped": 0}, producer="p", seq=2)

    assert (run.counters.entries, run.counters.events, run.counters.parked) == (2, 1, 0)
    assert sorted(run.sections) == ["event:OTHER", "run"]
    assert run.section("event:OTHER") == before
    assert not [name for name in run.coverage() if name.startswith("_closed")]


def test_a_goodbye_twice() -> None:
    """An end-of-stream marker that is sent again is a duplicate."""
    counters = fold_entries([*_stream(1), _closed(2, 2), _closed(3, 2)]).counters

    assert (counters.closed, counters.duplicates) == (["p"], 1)


def test_a_run_without_producers_does_not_end() -> None:
    """An end-of-stream marker without a known producer closes none."""
    run = Run()

    run.event("OTHER", {})

    assert run.section("run")["status"] == "running"


def test_a_resent_start_with_a_new_number() -> None:
    """A start that comes again under another number is a duplicate by its `event_id`, and its number is recorded."""
    run = Run()
    data: dict[str, Any] = {"n_envs": 1}

    run.start(data, event_id="start", producer="p", seq=1)
    run.start(data, event_id="start", producer="p", seq=2)
    run.event("OTHER", {}, producer="p", seq=3)

    assert (run.counters.duplicates, run.counters.events, run.counters.lost) == (1, 2, {})
