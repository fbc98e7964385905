"""Sequence gaps that the publisher explains: events that it dropped, and events that were lost later."""

import pytest

from sanctum_bus.errors import UnconfirmedGap
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.offline import fold_entries
from tests.support.fold_run import Entry, Run, entry


def _sparse(*numbers: tuple[int, int]) -> list[tuple[str, Entry]]:
    return [
        (f"{place}-0", entry("OTHER", {}, producer="p", seq=seq, **({"dropped": dropped} if dropped else {})))
        for place, (seq, dropped) in enumerate(numbers, 1)
    ]


def test_a_hole_that_the_publisher_made() -> None:
    """Events that the publisher reports as dropped need no confirmation, and count as `dropped`."""
    aggregate = Aggregate()

    for each in _sparse((1, 0), (5, 3), (6, 0)):
        aggregate.apply(*each)

    assert aggregate.counters.lost == {"dropped": 3}
    assert aggregate.counters.lost_ranges == [
        {"reason": "dropped", "producer": "p", "after": 1, "until": 5, "seen_at": "2-0"}
    ]


def test_a_hole_that_the_publisher_made_in_part() -> None:
    """The rest of the missing numbers is an unconfirmed gap. Each part has its range, the gap first."""
    aggregate, entries = Aggregate(), _sparse((1, 0), (8, 2))
    aggregate.apply(*entries[0])
    with pytest.raises(UnconfirmedGap):
        aggregate.apply(*entries[1])

    counters = fold_entries(entries).counters

    assert counters.lost == {"gap": 4, "dropped": 2}
    parts = [(one["reason"], one["after"], one["until"]) for one in counters.lost_ranges]
    assert parts == [("gap", 1, 6), ("dropped", 5, 8)]


@pytest.mark.parametrize(
    ("seq", "dropped", "lost"),
    [
        (4, 3, {"dropped": 3}),
        (4, 1, {"before this history": 2, "dropped": 1}),
        (4, 9, {"dropped": 3}),
        (1, 9, {}),
    ],
)
def test_dropped_before_the_first(seq: int, dropped: int, lost: dict[str, int]) -> None:
    """Dropped events before a producer's first entry are not earlier history, and never exceed the missing numbers."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=seq, dropped=dropped)

    assert run.counters.lost == lost


@pytest.mark.parametrize("count", [b"", b"x", b"-2", b"2.0", b"9" * 19, "²".encode()])
def test_an_explanation_that_is_no_number(count: bytes) -> None:
    """An invalid count explains nothing: the missing numbers are a gap, and the event is folded."""
    entries = _sparse((1, 0), (4, 0))
    entries[1][1][b"dropped"] = count

    counters = fold_entries(entries).counters

    assert (counters.lost, counters.events, counters.parked) == ({"gap": 2}, 2, 0)


def test_a_dropped_tail() -> None:
    """The end-of-stream marker explains the events dropped before it."""
    marker = entry("_closed", {"sent": 2, "dropped": 3}, producer="p", seq=6)

    counters = fold_entries([*_sparse((1, 0), (2, 0)), ("3-0", marker | {b"dropped": b"3"})]).counters

    assert (counters.lost, counters.closed) == ({"dropped": 3}, ["p"])


def test_an_entry_put_back_explains_nothing() -> None:
    """An entry that replaces a dead letter has no sequence number, so its `dropped` explains nothing."""
    run = Run()

    run.event("OTHER", {}, producer="p", seq=1)
    run.raw({**entry("OTHER", {}, producer="p", seq=5, dropped=3), b"requeued_from": b"1-0"})

    assert run.counters.lost == {}
