"""Recovery: what a failed attempt passes on to the next one."""

from collections.abc import Iterator

import pytest

from sanctum_bus.errors import (
    CommitRefused,
    DeferredWriteFailed,
    FoldFailed,
    Gap,
    InvalidEntry,
    RestartRun,
    UnconfirmedGap,
)
from sanctum_bus.events.decode import Event
from sanctum_bus.events.recordings import Record
from sanctum_bus.fold import aggregate as aggregate_module
from sanctum_bus.fold import offline
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.recovery import QuarantinedEntry, RecoveryMemo
from sanctum_bus.fold.state import State
from tests.support.fold_run import Entry, entry


def _gap(seq: int) -> UnconfirmedGap:
    return UnconfirmedGap(Gap("p", seq - 2, seq))


def test_a_failed_fold_quarantines_its_entry() -> None:
    """The next attempt parks the entry with the reason of the failure."""
    memo, failed = RecoveryMemo(), entry("OTHER")

    assert memo.record(FoldFailed("1-0", "a bug").with_entry(failed))

    assert memo.quarantined == {"1-0": QuarantinedEntry("a bug", failed, can_be_read=True)}


def test_a_gap_and_those_behind_it_are_confirmed() -> None:
    """The next attempt does not stop at a gap that was seen already."""
    memo, error = RecoveryMemo(), _gap(4)
    error.behind.append(_gap(9).gap)

    assert memo.record(error)

    assert [memo.is_confirmed(_gap(seq).gap) for seq in (4, 9, 12)] == [True, True, False]


def test_a_deferred_write_fails_only_once() -> None:
    """The next attempt defers nothing. If it fails in the same way, another attempt does not help."""
    memo = RecoveryMemo()

    assert memo.record(DeferredWriteFailed("section a"))
    assert memo.eager
    assert not memo.record(DeferredWriteFailed("section a"))


def test_another_error_teaches_nothing() -> None:
    """A refused commit does not change the memo: its cause is not an entry."""
    assert not RecoveryMemo().record(CommitRefused("fence"))


def test_a_commit_ends_the_recovery() -> None:
    """After a commit, the memo holds nothing about the entries before it."""
    memo = RecoveryMemo()
    for error in (FoldFailed("1-0", "a bug"), _gap(4), DeferredWriteFailed("section a")):
        memo.record(error)

    memo.reset()

    assert memo == RecoveryMemo()


def test_an_offline_fold_that_cannot_recover_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that the next attempt would meet again ends the fold."""

    def fail(_aggregate: Aggregate, _entry_id: str, _entry: Entry) -> None:
        raise CommitRefused("fence")

    monkeypatch.setattr(Aggregate, "apply", fail)

    with pytest.raises(RestartRun, match="fence"):
        offline.fold_entries([("1-0", entry("OTHER"))])


def test_a_line_that_is_not_an_event_takes_no_id() -> None:
    """A record without an event makes no stream entry."""
    records: Iterator[Record] = iter([Record(1, None), Record(2, None)])

    assert [entry_id for entry_id, _ in offline.encode_records(records)] == ["0-1"]


def test_an_event_that_is_found_wrong_too_late_invalidates_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that refuses an event after it has written fails, instead of parking the entry over a changed state."""

    def fold(state: State, event: Event) -> None:
        state.edit("half")["done"] = True
        raise InvalidEntry("too late")

    monkeypatch.setattr(aggregate_module, "fold", fold)

    with pytest.raises(FoldFailed, match="too late") as caught:
        Aggregate().apply("1-0", entry("OTHER"))

    assert caught.value.entry == entry("OTHER")


def test_an_error_of_the_decoder_parks_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that the decoder does not survive costs only itself."""

    def fail(_entry_id: str, _entry: Entry) -> Event:
        raise RecursionError("too deep")

    monkeypatch.setattr(aggregate_module, "decode", fail)
    aggregate = Aggregate()

    aggregate.apply("1-0", entry("OTHER"))

    assert "too deep" in aggregate.drain_changes().parked[0].reason
