"""The tally by itself: what is not known is not 0, labels have a bounded number of values, numbers fall into their buckets."""

import math
import time

import pytest

from sanctum_bus.errors import CommitRefused
from sanctum_bus.worker.metrics import health, table
from sanctum_bus.worker.metrics.histogram import Histogram
from sanctum_bus.worker.metrics.recorder import RunMetrics, WorkerMetrics
from sanctum_bus.worker.metrics.table import TABLE
from sanctum_bus.worker.registry import Lag, Membership
from sanctum_bus.worker.status import MAX_NAMED, status_json


def standing(*standings: Lag) -> WorkerMetrics:
    """A tally of runs that stand like this."""
    tally = WorkerMetrics()
    for number, one in enumerate(standings):
        tally.run(f"r{number}").set_lag(one)
    return tally


@pytest.mark.parametrize(
    ("standings", "behind", "behind_s"),
    [
        ((), 0, 0),
        ((Lag(0, 0.0),), 0, 0),
        ((Lag(3, 1.5), Lag(4, 0.5)), 7, 1.5),
        ((Lag(3, 1.5), Lag()), 3, 1.5),
        ((Lag(), Lag()), math.nan, math.nan),
        ((Lag(None, 2.0),), math.nan, 2.0),
    ],
)
def test_the_lag_of_runs_together(standings: tuple[Lag, ...], behind: float, behind_s: float) -> None:
    """Known numbers are put together; where there are runs and none is known there is no number."""
    tally = standing(*standings)

    assert str([table.behind(tally), table.behind_s(tally)]) == str([float(behind), float(behind_s)])


def test_an_old_look_is_no_knowledge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has looked for long, as in a worker that is stuck, the lag of then is not that of now."""
    tally = standing(Lag(0, 0.0))
    monkeypatch.setattr("sanctum_bus.worker.metrics.recorder._STANDING_S", 0.0)

    assert math.isnan(table.behind(tally))


def test_labels_are_bounded() -> None:
    """However many kinds of trouble there are, the series are few, and none is uncounted."""
    tally = WorkerMetrics()
    meter = tally.run("r")
    for number in range(1000):
        meter.restarted(CommitRefused(f"guard-{number}"))
    rows = {row.name: row.read(tally) for row in TABLE if row.labels and not row.per_run}

    assert all(isinstance(samples, list) and len(samples) <= 50 for samples in rows.values())
    assert sum(tally.troubles.values()) == sum(tally.refused.values()) == 1000


def test_a_histogram_is_cumulative() -> None:
    """A bucket counts all that is not greater than its bound; what a clock that went back makes negative is 0."""
    histogram = Histogram((1.0, 10.0))
    for value in (-5.0, 1.0, 1.5, 100.0):
        histogram.observe(value)

    assert histogram.buckets() == [("1.0", 2), ("10.0", 3), ("+Inf", 4)]
    assert histogram.total == 102.5


def test_a_worker_takes_part_for_as_long_as_its_last_beat_counts() -> None:
    """Before the first beat it does not, nor when the last one is too old by its own clock."""
    tally, nobody = WorkerMetrics(lease_s=60.0), frozenset[str]()
    before = health.not_ready_reason(tally)
    tally.beat(time.monotonic() - 61.0, Membership(1, nobody))
    late = health.not_ready_reason(tally)
    tally.beat(time.monotonic(), Membership(2, nobody))

    assert before == late != ""
    assert health.not_ready_reason(tally) == ""


def test_a_record_is_bounded() -> None:
    """What a worker says of itself on the server names a few hundred runs at most, and says how many there are."""
    tally = WorkerMetrics()
    for number in range(1000):
        tally.run(f"r{number}").is_owned = True

    record = status_json(tally)
    assert record.count('"generation"') == MAX_NAMED
    assert '"owned": 1000' in record


def test_a_meter_of_nobody_counts_for_nobody() -> None:
    """A loop without a worker, as in a test, needs no tally; two of them share none."""
    first, second = RunMetrics(), RunMetrics()
    first.restarted(CommitRefused("first"))

    assert first._tally is not second._tally
