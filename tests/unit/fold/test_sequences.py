"""Sequence numbers: expected runs, gaps behind a failure, trimmed ranges, and the limit of producers."""

import pytest

from sanctum_bus.errors import Gap, UnconfirmedGap
from sanctum_bus.fold import coverage as coverage_module
from sanctum_bus.fold import groups, sequences
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.counters import Counters
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.sequences import Sequences
from sanctum_bus.protocol.entry import RAW_LAYOUT, Flat
from tests.support.fold_run import Run, entry

Entries = list[tuple[bytes, Flat]]


def _flat(seq: int | bytes, producer: bytes = b"p", event_type: str = "OTHER") -> Flat:
    fields = {
        **entry(event_type, {}),
        b"producer": producer,
        b"seq": seq if isinstance(seq, bytes) else b"%d" % seq,
    }
    return [part for name in RAW_LAYOUT for part in (name, fields[name])]


def _entries(*flats: Flat) -> Entries:
    return [(b"%d-0" % number, flat) for number, flat in enumerate(flats, 1)]


def _known(last: int = 1) -> Sequences:
    """The sequences after a first entry of the producer `p`."""
    counters = Counters(producers={"p": last - 1})
    found = Sequences(counters, RecoveryMemo())
    flat = _flat(last)
    assert found.take("0-1", dict(zip(flat[::2], flat[1::2], strict=True)))
    return found


@pytest.mark.parametrize(
    "other",
    [
        _flat(5),
        _flat(3),
        _flat(b"04"),
        _flat(4, b"q"),
        _flat(4, event_type="_closed"),
        [*_flat(4), b"x", b"y"],
        _flat(4)[::-1],
    ],
    ids=["gap", "duplicate", "digits", "producer", "closed", "field", "layout"],
)
def test_a_run_ends_before_the_first_other_entry(other: Flat) -> None:
    """A run holds only the next entries of one producer, in the publisher's layout."""
    entries = _entries(_flat(2), _flat(3), other, _flat(5))

    assert _known().expected_until(entries, 0) == 2
    assert _known(3).expected_until(entries, 2) == 2


def test_looking_for_a_run_records_nothing() -> None:
    """Only `advance` records that the entries of a run were applied."""
    found, entries = _known(), _entries(_flat(2), _flat(3))

    assert [found.expected_until(entries, 0) for _ in range(2)] == [2, 2]
    assert found.counters.producers == {"p": 1}
    found.advance(entries[0][1], 2)
    assert found.counters.producers == {"p": 3}


def test_an_unknown_producer_has_no_run() -> None:
    """The first entry of a producer has to be checked for what is missing before it."""
    assert _known().expected_until(_entries(_flat(1, b"new")), 0) == 0


def test_a_run_ends_at_the_greatest_number() -> None:
    """No number has more than 18 digits."""
    last = 10**18 - 1

    assert _known(last).expected_until(_entries(_flat(last + 1)), 0) == 0


def test_gaps_after_a_failure_are_found_together() -> None:
    """One restart confirms every gap in the entries that were delivered with the first one."""
    entries = _entries(_flat(1), _flat(4), _flat(b"x"), _flat(5), _flat(9))
    aggregate = Aggregate()

    with pytest.raises(UnconfirmedGap) as caught:
        aggregate.apply_batch(entries)

    assert caught.value.gap == Gap("p", 1, 4)
    assert aggregate.gaps_after(entries) == [Gap("p", 5, 9)]


def test_a_trimmed_range_grows_until_an_entry_is_read() -> None:
    """Each acquisition finds the trimmed entries again: the range after one version is kept once, with its last end."""
    found = _known()

    found.record_trim("5-0", "7-0", 2)
    found.record_trim("5-0", "9-0", 4)
    found.record_trim("5-1", "9-0", 3)

    assert found.counters.lost_ranges == [{"reason": "trimmed", "after": "5-0", "until": "9-0", "entries": 4}]
    assert found.missing == {"trimmed": 4}


def test_a_trim_without_entries_counts_as_one() -> None:
    """The count is a minimum: the next log line reports that something was trimmed."""
    aggregate = Aggregate()

    aggregate.record_trim("9-0", 0)
    aggregate.apply("10-0", entry("OTHER"))

    ((_, line),) = aggregate.drain_changes().lines
    assert (line["type"], line["trimmed"]) == ("_lost", 1)


def test_the_producer_seen_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint keeps the last numbers of a limited number of producers, closed or not."""
    monkeypatch.setattr(sequences, "MAX_PRODUCERS", 2)
    run = Run()

    for producer in "pq":
        run.event("OTHER", producer=producer, seq=1)
    run.raw({b"type": b"_closed", b"producer": b"p", b"seq": b"2"})
    run.event("OTHER", producer="q", seq=2)
    run.event("OTHER", producer="r", seq=1)

    assert (run.counters.producers, run.counters.closed) == ({"q": 2, "r": 1}, [])


def test_more_groups_than_the_cache_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group whose scope is not cached has its sections like any other."""
    monkeypatch.setattr(groups, "_MAX_SCOPES", 1)
    run = Run()

    for group in "ABA":
        run.event("OTHER", group_id=group)

    assert [run.section(f"{group}/event:OTHER")["count"] for group in "AB"] == [2, 1]


def test_more_shapes_than_coverage_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage counts the same whether or not it spells the shapes out before a commit."""
    monkeypatch.setattr(coverage_module, "_MAX_SHAPES", 1)
    run = Run()

    for name in "aba":
        run.event("OTHER", {name: 1})

    assert run.coverage() == {"OTHER": 3, "OTHER.a": 2, "OTHER.b": 1}


@pytest.mark.parametrize("values", [(1e308, 1e308), (float("inf"), float("-inf"))])
def test_a_mean_that_no_float_holds_is_nan(values: tuple[float, float]) -> None:
    """Accuracies that cannot be added stop nothing."""
    run = Run()
    run.start({"n_envs": 2})
    for env_id, value in enumerate(values):
        run.epoch(env_id, 1, value)
    run.epoch(0, 2, 1.0)

    assert repr(run.section("run")["mean_accuracy"]) == "nan"


@pytest.mark.parametrize(
    ("producer", "reason"), [(b"p" * 129, "over the limit of 128"), (b"\xff", "`producer` is not UTF-8")]
)
def test_an_invalid_producer_parks_the_entry(producer: bytes, reason: str) -> None:
    """A producer's name is text of at most 128 bytes; another one is not recorded."""
    run = Run()

    run.raw({**entry("OTHER"), b"producer": producer, b"seq": b"1"})

    assert reason in run.parked()[0].reason
    assert run.counters.producers == {}
