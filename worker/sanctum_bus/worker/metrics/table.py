"""The metrics, one row each. A new metric needs only a new row."""

import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from sanctum_bus._version import __version__
from sanctum_bus.worker.metrics.health import not_ready_reason, stuck_loops
from sanctum_bus.worker.metrics.histogram import Histogram
from sanctum_bus.worker.metrics.recorder import RunMetrics, WorkerMetrics

#: The values of the labels, in the order of their names, and the number.
Sample = tuple[tuple[str, ...], float]

#: The value of a metric: one number, one distribution, or one number for each combination of labels.
Value = float | Histogram | list[Sample]


class Kind(Enum):
    """The kind of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric.

    Args:
        name: without the suffix of counters.
        kind: counter, gauge or histogram.
        what: the description.
        read: returns the current value.
        labels: the names of the labels.
        per_run: whether it has one series for each run. Such a metric exists only with `metrics_per_run`.
    """

    name: str
    kind: Kind
    what: str
    read: Callable[[WorkerMetrics], Value]
    labels: tuple[str, ...] = ()
    per_run: bool = False

    @property
    def shown(self) -> str:
        """The name in Prometheus."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


def _by_label(counts: Mapping[str, int]) -> list[Sample]:
    return [((value,), count) for value, count in dict(counts).items()]


def _runs(metrics: WorkerMetrics) -> list[RunMetrics]:
    return list(metrics.runs.copy().values())


def sum_known(values: Iterable[float | None], add: Callable[[list[float]], float] = math.fsum) -> float:
    """Return the sum of the known values: 0 if there are no values at all, NaN if there are only unknown ones.

    Args:
        values: the values; None is unknown.
        add: adds the known values, or combines them in another way.
    """
    listed = list(values)
    known = [value for value in listed if value is not None]
    if listed and not known:
        return math.nan
    return add(known) if known else 0.0


def behind(metrics: WorkerMetrics) -> float:
    """Return the number of entries of all runs here that are not committed yet; NaN if it is unknown for all runs."""
    return sum_known(run.lag.behind for run in _runs(metrics))


def behind_s(metrics: WorkerMetrics) -> float:
    """Return how long the oldest of these entries waits, in seconds; NaN if it is unknown for all runs."""
    return sum_known((run.lag.behind_s for run in _runs(metrics)), max)


def owned(metrics: WorkerMetrics) -> int:
    """Return the number of runs that this worker owns."""
    return sum(run.is_owned for run in _runs(metrics))


def _each_run(read: Callable[[RunMetrics], float | None]) -> Callable[[WorkerMetrics], list[Sample]]:
    def samples(metrics: WorkerMetrics) -> list[Sample]:
        found = [((run_id,), read(run)) for run_id, run in metrics.runs.copy().items()]
        return [(labels, value) for labels, value in found if value is not None]

    return samples


_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

TABLE = (
    Metric(
        "sanctum_worker_info",
        _GAUGE,
        "Always 1; the labels identify the worker.",
        lambda metrics: [((metrics.worker, __version__), 1.0)],
        ("worker", "version"),
    ),
    Metric("sanctum_events", _COUNTER, "Events folded and committed.", lambda metrics: metrics.events),
    Metric(
        "sanctum_entries",
        _COUNTER,
        "Stream entries committed: folded, parked or skipped as duplicates.",
        lambda metrics: metrics.entries,
    ),
    Metric(
        "sanctum_dead_letters",
        _COUNTER,
        "Entries that could not be folded, and were parked as dead letters.",
        lambda metrics: metrics.parked,
    ),
    Metric(
        "sanctum_duplicates",
        _COUNTER,
        "Entries skipped because they were folded before.",
        lambda metrics: metrics.duplicates,
    ),
    Metric(
        "sanctum_events_lost",
        _COUNTER,
        "Events that never arrived, by reason: `gap`, `dropped` by the publisher, `before this history`.",
        lambda metrics: _by_label(metrics.lost),
        ("reason",),
    ),
    Metric("sanctum_commits", _COUNTER, "Commits with entries.", lambda metrics: metrics.commits),
    Metric(
        "sanctum_ownership_checks",
        _COUNTER,
        "Commits without entries: an idle owner checks that it still owns the run.",
        lambda metrics: metrics.ownership_checks,
    ),
    Metric(
        "sanctum_commit_entries", _HISTOGRAM, "Entries in one commit.", lambda metrics: metrics.commit_entries
    ),
    Metric(
        "sanctum_fold_seconds",
        _HISTOGRAM,
        "Time to fold the entries of one commit.",
        lambda metrics: metrics.fold_s,
    ),
    Metric(
        "sanctum_commit_seconds",
        _HISTOGRAM,
        "Time from sending a commit with entries to its reply.",
        lambda metrics: metrics.commit_s,
    ),
    Metric(
        "sanctum_end_to_end_latency_seconds",
        _HISTOGRAM,
        "Time from the timestamp of the last event in a commit until readers see it. Compares the clocks of two machines, so synchronize them.",
        lambda metrics: metrics.end_to_end_s,
    ),
    Metric(
        "sanctum_stream_latency_seconds",
        _HISTOGRAM,
        "Time from the arrival of the first entry of a commit at the server until readers see it, by the server's clock.",
        lambda metrics: metrics.stream_s,
    ),
    Metric(
        "sanctum_lag_events",
        _GAUGE,
        "Entries of the runs of this worker that are not committed yet; NaN if it is unknown for all runs.",
        behind,
    ),
    Metric(
        "sanctum_lag_seconds",
        _GAUGE,
        "How long the oldest of these entries waits; NaN if it is unknown for all runs.",
        behind_s,
    ),
    Metric(
        "sanctum_lag_unknown_runs",
        _GAUGE,
        "Runs of this worker with an unknown lag in events; `sanctum_lag_events` excludes them.",
        lambda metrics: sum(run.lag.behind is None for run in _runs(metrics)),
    ),
    Metric("sanctum_owned_runs", _GAUGE, "Runs that this worker owns.", owned),
    Metric(
        "sanctum_waiting_runs",
        _GAUGE,
        "Runs of this worker's share above `max_runs`; no worker folds them.",
        lambda metrics: metrics.waiting,
    ),
    Metric(
        "sanctum_acquisitions",
        _COUNTER,
        "Runs acquired, by reason: `assigned` to this worker; the stream `appeared`; a commit was `refused` or the group is missing; the server was `unavailable`; a sequence `gap` is checked again; `fold_failed`.",
        lambda metrics: _by_label(metrics.acquisitions),
        ("reason",),
    ),
    Metric(
        "sanctum_commits_refused",
        _COUNTER,
        "Commits refused, by the guard that refused them.",
        lambda metrics: _by_label(metrics.commits_refused),
        ("reason",),
    ),
    Metric(
        "sanctum_errors",
        _COUNTER,
        "Errors, by task (`run`, `discovery`, `scan`, `lag_poll`) and kind. The kind is the reason of a restart, or the name of an exception. ConnectionError and other exceptions of redis-py mean that the server could not execute a request; the task retries.",
        lambda metrics: [(labels, count) for labels, count in metrics.errors.copy().items()],
        ("task", "kind"),
    ),
    Metric(
        "sanctum_reconnects",
        _COUNTER,
        "Connections that were lost, refused or timed out; the task opens another.",
        lambda metrics: metrics.reconnects,
    ),
    Metric(
        "sanctum_producer_events_sent",
        _GAUGE,
        "Events that the producers of the runs of this worker report as sent; NaN if it is unknown for all runs.",
        lambda metrics: sum_known(run.lag.sent for run in _runs(metrics)),
    ),
    Metric(
        "sanctum_producer_events_dropped",
        _GAUGE,
        "Events that the producers of the runs of this worker report as dropped; NaN if it is unknown for all runs.",
        lambda metrics: sum_known(run.lag.dropped for run in _runs(metrics)),
    ),
    Metric(
        "sanctum_ready",
        _GAUGE,
        "1 if `/readyz` returns 200, else 0.",
        lambda metrics: not not_ready_reason(metrics),
    ),
    Metric(
        "sanctum_stuck_loops",
        _GAUGE,
        "Loops that make no progress; `/healthz` names them.",
        lambda metrics: len(stuck_loops(metrics)),
    ),
    Metric(
        "sanctum_run_events",
        _COUNTER,
        "Events of a run that this worker has committed since it acquired the run.",
        _each_run(lambda run: run.events),
        ("run",),
        per_run=True,
    ),
    Metric(
        "sanctum_run_lag_events",
        _GAUGE,
        "Entries of a run that are not committed yet; absent if it is unknown.",
        _each_run(lambda run: run.lag.behind),
        ("run",),
        per_run=True,
    ),
    Metric(
        "sanctum_run_lag_seconds",
        _GAUGE,
        "How long the oldest uncommitted entry of a run waits; absent if it is unknown.",
        _each_run(lambda run: run.lag.behind_s),
        ("run",),
        per_run=True,
    ),
)
