"""The metrics without a server: an unknown value is not 0, labels are bounded, and histograms are cumulative."""

import math
import time

import pytest

from sanctum_bus.errors import CommitRefused
from sanctum_bus.worker.metrics import health, table
from sanctum_bus.worker.metrics.histogram import Histogram
from sanctum_bus.worker.metrics.recorder import RunMetrics, WorkerMetrics
from sanctum_bus.worker.metrics.table import TABLE
from sanctum_bus.worker.registry import Lag, LiveWorkers
from sanctum_bus.worker.status import MAX_NAMED, status_json


def with_lags(*lags: Lag) -> WorkerMetrics:
    """Return the metrics of a worker with one run for each lag."""
    metrics = WorkerMetrics()
    for number, lag in enumerate(lags):
        metrics.add_run(f"r{number}").set_lag(lag)
    return metrics


@pytest.mark.parametrize(
    ("lags", "behind", "behind_s"),
    [
        ((), 0, 0),
        ((Lag(0, 0.0),), 0, 0),
        ((Lag(3, 1.5), Lag(4, 0.5)), 7, 1.5),
        ((Lag(3, 1.5), Lag()), 3, 1.5),
        ((Lag(), Lag()), math.nan, math.nan),
        ((Lag(None, 2.0),), math.nan, 2.0),
    ],
)
def test_the_lag_of_runs_together(lags: tuple[Lag, ...], behind: float, behind_s: float) -> None:
    """Known lags are combined; if there are runs and no lag is known, the result is NaN."""
    metrics = with_lags(*lags)

    assert str([table.behind(metrics), table.behind_s(metrics)]) == str([float(behind), float(behind_s)])


def test_an_old_look_is_no_knowledge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lag that was measured too long ago, as in a stuck worker, is unknown."""
    metrics = with_lags(Lag(0, 0.0))
    monkeypatch.setattr("sanctum_bus.worker.metrics.recorder._LAG_VALID_S", 0.0)

    assert math.isnan(table.behind(metrics))


def test_labels_are_bounded() -> None:
    """The number of series is bounded for any number of error kinds, and every error is counted."""
    metrics = WorkerMetrics()
    run = metrics.add_run("r")
    for number in range(1000):
        run.restarted(CommitRefused(f"guard-{number}"))
    rows = {row.name: row.read(metrics) for row in TABLE if row.labels and not row.per_run}

    assert all(isinstance(samples, list) and len(samples) <= 50 for samples in rows.values())
    assert sum(metrics.errors.values()) == sum(metrics.commits_refused.values()) == 1000


def test_a_histogram_is_cumulative() -> None:
    """A bucket counts every number up to its bound; a negative number, from a clock that was set back, counts as 0."""
    histogram = Histogram((1.0, 10.0))
    for value in (-5.0, 1.0, 1.5, 100.0):
        histogram.observe(value)

    assert histogram.buckets() == [("1.0", 2), ("10.0", 3), ("+Inf", 4)]
    assert histogram.total == 102.5


def test_a_worker_takes_part_for_as_long_as_its_last_beat_counts() -> None:
    """A worker is not ready before its first heartbeat, nor if the last one is too old by the worker's clock."""
    metrics, no_workers = WorkerMetrics(lease_s=60.0), frozenset[str]()
    before = health.not_ready_reason(metrics)
    metrics.record_heartbeat(time.monotonic() - 61.0, LiveWorkers(1, no_workers))
    late = health.not_ready_reason(metrics)
    metrics.record_heartbeat(time.monotonic(), LiveWorkers(2, no_workers))

    assert before == late != ""
    assert health.not_ready_reason(metrics) == ""


def test_a_record_is_bounded() -> None:
    """The status of a worker names at most `MAX_NAMED` runs, and has the number of all runs."""
    metrics = WorkerMetrics()
    for number in range(1000):
        metrics.add_run(f"r{number}").is_owned = True

    status = status_json(metrics)
    assert status.count('"generation"') == MAX_NAMED
    assert '"owned": 1000' in status


def test_a_meter_of_nobody_counts_for_nobody() -> None:
    """The metrics of a run without a worker, as in a test, are shared with no other run."""
    first, second = RunMetrics(), RunMetrics()
    first.restarted(CommitRefused("first"))

    assert first._worker is not second._worker
