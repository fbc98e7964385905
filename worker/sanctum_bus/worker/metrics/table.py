"""The metrics: each is one row, and a new one needs no more than that."""

import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from sanctum_bus._version import __version__
from sanctum_bus.worker.metrics.health import not_ready_reason, stuck_loops
from sanctum_bus.worker.metrics.histogram import Histogram
from sanctum_bus.worker.metrics.recorder import RunMetrics, WorkerMetrics

#: Values of the labels, in the order of their names, and the number.
Sample = tuple[tuple[str, ...], float]

#: One number, one distribution, or one number for each of some labels.
Found = float | Histogram | list[Sample]


class Kind(Enum):
    """What kind of number a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric.

    Args:
        name: without the ending of counters.
        what: the sentence for people.
        read: takes it from the tally.
        labels: their names.
        per_run: has one series for each run, and is there only where somebody asks for it.
    """

    name: str
    kind: Kind
    what: str
    read: Callable[[WorkerMetrics], Found]
    labels: tuple[str, ...] = ()
    per_run: bool = False

    @property
    def shown(self) -> str:
        """The name by which Prometheus knows it."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


def _words(counts: Mapping[str, int]) -> list[Sample]:
    return [((word,), count) for word, count in dict(counts).items()]


def _meters(tally: WorkerMetrics) -> list[RunMetrics]:
    return list(tally.runs.copy().values())


def sum_known(values: Iterable[float | None], add: Callable[[list[float]], float] = math.fsum) -> float:
    """Return what the known values come to: 0 where there is nothing to know, NaN where there is and nobody does."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    if listed and not known:
        return math.nan
    return add(known) if known else 0.0


def behind(tally: WorkerMetrics) -> float:
    """Return how many entries of all runs that are folded here are not committed yet; NaN where nobody knows."""
    return sum_known(meter.lag.behind for meter in _meters(tally))


def behind_s(tally: WorkerMetrics) -> float:
    """Return how long the oldest of them waits, in seconds; NaN where nobody knows."""
    return sum_known((meter.lag.behind_s for meter in _meters(tally)), max)


def owned(tally: WorkerMetrics) -> int:
    """Return how many runs are in this worker's hands."""
    return sum(meter.is_owned for meter in _meters(tally))


def _each_run(read: Callable[[RunMetrics], float | None]) -> Callable[[WorkerMetrics], list[Sample]]:
    def samples(tally: WorkerMetrics) -> list[Sample]:
        found = [((run_id,), read(meter)) for run_id, meter in tally.runs.copy().items()]
        return [(labels, value) for labels, value in found if value is not None]

    return samples


_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

TABLE = (
    Metric(
        "sanctum_worker_info",
        _GAUGE,
        "Always 1; says which worker this is.",
        lambda tally: [((tally.worker, __version__), 1.0)],
        ("worker", "version"),
    ),
    Metric("sanctum_events", _COUNTER, "Events folded and committed.", lambda tally: tally.events),
    Metric(
        "sanctum_entries",
        _COUNTER,
        "Entries of streams committed, whatever became of them.",
        lambda tally: tally.entries,
    ),
    Metric("sanctum_dead_letters", _COUNTER, "Entries that could not be folded.", lambda tally: tally.parked),
    Metric(
        "sanctum_duplicates",
        _COUNTER,
        "Entries passed over, for they had been folded before.",
        lambda tally: tally.duplicates,
    ),
    Metric(
        "sanctum_events_lost",
        _COUNTER,
        "Events that never arrived, by reason: `gap`, `dropped` by the publisher, `before this history`.",
        lambda tally: _words(tally.lost),
        ("reason",),
    ),
    Metric("sanctum_commits", _COUNTER, "Commits that brought entries.", lambda tally: tally.commits),
    Metric(
        "sanctum_ownership_checks",
        _COUNTER,
        "Commits of owners with nothing to do, who ask whether they are still the owners.",
        lambda tally: tally.empty_commits,
    ),
    Metric("sanctum_commit_entries", _HISTOGRAM, "Entries of one commit.", lambda tally: tally.batch_entries),
    Metric(
        "sanctum_fold_seconds",
        _HISTOGRAM,
        "Time that folding the entries of one commit took.",
        lambda tally: tally.fold_s,
    ),
    Metric(
        "sanctum_commit_seconds",
        _HISTOGRAM,
        "Time from sending a commit that brought entries to its reply.",
        lambda tally: tally.commit_s,
    ),
    Metric(
        "sanctum_end_to_end_latency_seconds",
        _HISTOGRAM,
        "End-to-end latency: from the time that the last event of a commit bears until readers see it. Clocks of two machines: they have to agree.",
        lambda tally: tally.event_latency_s,
    ),
    Metric(
        "sanctum_stream_latency_seconds",
        _HISTOGRAM,
        "Time from when the server took the first entry of a commit until readers see it, by the server's clock.",
        lambda tally: tally.arrival_latency_s,
    ),
    Metric(
        "sanctum_lag_events",
        _GAUGE,
        "Entries of the runs folded here that are not committed yet; NaN where it is known of none of them.",
        behind,
    ),
    Metric(
        "sanctum_lag_seconds",
        _GAUGE,
        "How long the oldest of them waits; NaN where it is known of none of the runs.",
        behind_s,
    ),
    Metric(
        "sanctum_lag_unknown_runs",
        _GAUGE,
        "Runs that are folded here and of which the lag in events is not known: they are in neither number.",
        lambda tally: sum(meter.lag.behind is None for meter in _meters(tally)),
    ),
    Metric("sanctum_owned_runs", _GAUGE, "Runs in this worker's hands.", owned),
    Metric(
        "sanctum_waiting_runs",
        _GAUGE,
        "Runs of this worker's share that are over `max_runs`: nobody folds them.",
        lambda tally: tally.waiting,
    ),
    Metric(
        "sanctum_acquisitions",
        _COUNTER,
        "Runs taken over, by reason: `assigned` to this worker, their stream `appeared`, a commit was `refused` or the group gone, the `server` could not be asked, a `gap` is looked at again, a fold was `spoiled`.",
        lambda tally: _words(tally.takeovers),
        ("reason",),
    ),
    Metric(
        "sanctum_commits_refused",
        _COUNTER,
        "Commits that were refused, by the guard that refused them.",
        lambda tally: _words(tally.refused),
        ("reason",),
    ),
    Metric(
        "sanctum_errors",
        _COUNTER,
        "Trouble, by the loop that had it (`run`, `discovery`, `scan`, `watch`) and kind. A kind that is the name of an error of redis-py, such as ConnectionError, means that the server could not be asked, and the loop connects again.",
        lambda tally: [(labels, count) for labels, count in tally.troubles.copy().items()],
        ("work", "kind"),
    ),
    Metric(
        "sanctum_reconnects",
        _COUNTER,
        "Times that a loop lost its connection, was refused one, or had no answer on it, and made another.",
        lambda tally: tally.reconnects,
    ),
    Metric(
        "sanctum_producer_events_sent",
        _GAUGE,
        "Events that the producers of the runs folded here say they sent; NaN where it is known of none of the runs.",
        lambda tally: sum_known(meter.lag.sent for meter in _meters(tally)),
    ),
    Metric(
        "sanctum_producer_events_dropped",
        _GAUGE,
        "Events that they say they had to drop; likewise.",
        lambda tally: sum_known(meter.lag.dropped for meter in _meters(tally)),
    ),
    Metric(
        "sanctum_ready",
        _GAUGE,
        "1 where `/readyz` says yes, else 0.",
        lambda tally: not not_ready_reason(tally),
    ),
    Metric(
        "sanctum_stuck_loops",
        _GAUGE,
        "Loops that do not turn; `/healthz` names them.",
        lambda tally: len(stuck_loops(tally)),
    ),
    Metric(
        "sanctum_run_events",
        _COUNTER,
        "Events of a run that this worker folded since the run came to it.",
        _each_run(lambda meter: meter.events),
        ("run",),
        per_run=True,
    ),
    Metric(
        "sanctum_run_lag_events",
        _GAUGE,
        "A run's entries that are not committed yet; missing where nobody knows.",
        _each_run(lambda meter: meter.lag.behind),
        ("run",),
        per_run=True,
    ),
    Metric(
        "sanctum_run_lag_seconds",
        _GAUGE,
        "How long the oldest of them waits; missing where nobody knows.",
        _each_run(lambda meter: meter.lag.behind_s),
        ("run",),
        per_run=True,
    ),
)
