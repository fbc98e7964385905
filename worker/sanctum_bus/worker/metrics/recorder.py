"""The counts and times that the loops of a worker report. The other modules of this package only read them.

A loop reports once for each commit, and never for an event. Nothing here does I/O. The loops write and the thread of the
HTTP server reads, without a lock: each number is consistent alone.
"""

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from sanctum_bus.connection.retry import error_kind, is_lost_connection
from sanctum_bus.errors import CommitRefused, DeferredWriteFailed, FoldFailed, RestartRun, UnconfirmedGap
from sanctum_bus.fold.counters import Counters
from sanctum_bus.protocol.stream_id import milliseconds
from sanctum_bus.worker.metrics.histogram import LATENCIES_S, SECONDS, SIZES, Histogram
from sanctum_bus.worker.metrics.tasks import LastError, TaskState
from sanctum_bus.worker.registry import Lag, LiveWorkers
from sanctum_bus.worker.store import Commit, Lease

#: Maximum number of values of a label; further values count as `_OTHER`.
_MAX_LABEL_VALUES = 40
_OTHER = "other"

#: Maximum number of characters of an error's text.
_MAX_TEXT_CHARS = 300

#: Seconds after which a lag is out of date and counts as unknown: several polls.
_LAG_VALID_S = 10.0

#: Why a run is acquired, unless a gap, a failed fold or a refused commit is the reason.
_ASSIGNED, _APPEARED, _UNAVAILABLE = "assigned", "appeared", "unavailable"


class CommitFigures(NamedTuple):
    """The counts and times of one commit, taken before the commit is sent.

    Args:
        counters: a copy of the run's counters.
        entries: number of entries.
        oldest: ID of the first entry, "" if there is none.
        event_at: when the last event was emitted, Unix seconds; NaN if it is unknown.
        folding_s: seconds that the fold took.
    """

    counters: Counters
    entries: int
    oldest: str
    event_at: float
    folding_s: float

    @classmethod
    def of(cls, commit: Commit, counters: Counters) -> "CommitFigures":
        """Return the figures of a commit."""
        ids = commit.in_flight.ids
        event_at = (commit.changes.sections.get("run") or {}).get("last_event_at")
        return cls(
            _copied(counters),
            len(ids),
            ids[0] if ids else "",
            event_at if isinstance(event_at, float) else math.nan,
            commit.in_flight.folding_s,
        )


@dataclass
class WorkerMetrics:
    """The counts and times of a worker since its start.

    Args:
        worker: ID of the worker.
        lease_s: seconds that the worker counts as alive after a heartbeat.
        stuck_s: seconds without a step after which a loop is stuck.
        entries: entries committed.
        events: events folded and committed.
        parked: entries that could not be folded.
        duplicates: entries that were folded before.
        commits: commits with entries.
        ownership_checks: commits without entries.
        lost: events lost, by reason.
        acquisitions: runs acquired, by reason.
        commits_refused: commits refused, by guard.
        errors: errors, by task and kind.
        reconnects: connections lost, refused or timed out.
        commit_s: seconds from sending a commit to its reply.
        fold_s: seconds of folding, by commit.
        commit_entries: entries by commit.
        end_to_end_s: seconds from the last event of a commit until the commit.
        stream_s: seconds from the arrival of the first entry of a commit until the commit.
        waiting: runs of this worker's share above `max_runs`.
        since_ms: server time of the first heartbeat in ms; 0 before it.
        last_error: the last error, if there was one.
        runs: the metrics of each run that the worker folds.
        tasks: the state of each background task.
        heartbeat_at: when the last heartbeat was sent, by `time.monotonic`.
    """

    worker: str = ""
    lease_s: float = math.inf
    stuck_s: float = math.inf
    entries: int = 0
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    commits: int = 0
    ownership_checks: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    acquisitions: dict[str, int] = field(default_factory=dict)
    commits_refused: dict[str, int] = field(default_factory=dict)
    errors: dict[tuple[str, str], int] = field(default_factory=dict)
    reconnects: int = 0
    commit_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    fold_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    commit_entries: Histogram = field(default_factory=lambda: Histogram(SIZES))
    end_to_end_s: Histogram = field(default_factory=lambda: Histogram(LATENCIES_S))
    stream_s: Histogram = field(default_factory=lambda: Histogram(LATENCIES_S))
    waiting: int = 0
    since_ms: int = 0
    last_error: LastError | None = None
    runs: dict[str, "RunMetrics"] = field(default_factory=dict)
    tasks: dict[str, TaskState] = field(default_factory=dict)
    heartbeat_at: float = -math.inf
    _server_ahead_ms: float = 0.0

    def add_run(self, run_id: str) -> "RunMetrics":
        """Return new metrics for a run that this worker begins to fold."""
        metrics = self.runs[run_id] = RunMetrics(self, run_id)
        return metrics

    def remove_run(self, run_id: str) -> None:
        """Remove the metrics of a run that this worker no longer folds. The counts of the worker still include it."""
        self.runs.pop(run_id, None)

    def record_heartbeat(self, sent_at: float, live: LiveWorkers) -> None:
        """Record a heartbeat that the server has accepted.

        Args:
            sent_at: when it was sent, by `time.monotonic`.
            live: the reply.
        """
        self.heartbeat_at = sent_at
        self.since_ms = self.since_ms or live.now_ms
        self._server_ahead_ms = live.now_ms - sent_at * 1000

    @property
    def server_ms(self) -> int:
        """The server time now in ms, computed from the last heartbeat; 0 before the first."""
        return int(time.monotonic() * 1000 + self._server_ahead_ms) if self.since_ms else 0

    def tick(self, task: str) -> TaskState:
        """Record that a background task makes progress, and return its state."""
        found = self.tasks.get(task)
        if found is None:
            found = self.tasks[task] = TaskState(0.0)
        found.turned_at = time.monotonic()
        return found

    def record_success(self, task: str) -> int:
        """Record that a step of a task succeeded; return the number of failures in a row that it ended."""
        return self.tick(task).streak.reset()

    def record_failure(self, task: str, error: Exception) -> bool:
        """Record that a step of a task failed; return whether the failure is the first, or of another kind."""
        self.count_error(task, "", error)
        return self.tick(task).streak.record(error)

    def count_error(self, task: str, where: str, error: BaseException) -> None:
        """Count an error, and keep it as the last one.

        Args:
            task: the task that failed.
            where: the run, or "".
            error: the error.
        """
        kind = error_kind(error)
        self.reconnects += is_lost_connection(error)
        if (task, kind) not in self.errors and len(self.errors) >= _MAX_LABEL_VALUES:
            kind = _OTHER
        self.errors[task, kind] = self.errors.get((task, kind), 0) + 1
        self.last_error = LastError(self.server_ms, task, where, kind, str(error)[:_MAX_TEXT_CHARS])


class RunMetrics:
    """The counts and times of one run. Without the metrics of a worker, they are added to no total.

    Attributes:
        generation: of the lease.
        since_ms: when the run was acquired, server time in ms.
        is_owned: the run was acquired, and no error has occurred since.
        events: events that this worker has folded and committed.
    """

    def __init__(self, worker: WorkerMetrics | None = None, run_id: str = "") -> None:
        self._worker = worker or WorkerMetrics()
        self._run_id = run_id
        self._counters = Counters()
        self._reason = _ASSIGNED
        self.turned_at = time.monotonic()
        self.generation = self.since_ms = self.events = 0
        self.is_owned = False
        self._lag, self._lag_at = Lag(), 0.0

    def tick(self) -> None:
        """Record that the loop takes another step."""
        self.turned_at = time.monotonic()

    def pause(self) -> None:
        """Record that the loop waits for other runs, which may take any time."""
        self.turned_at = math.inf

    @property
    def lag(self) -> Lag:
        """How far the run is behind; unknown if that was measured too long ago."""
        return self._lag if time.monotonic() - self._lag_at < _LAG_VALID_S else Lag()

    def set_lag(self, lag: Lag) -> None:
        """Record how far the run is behind."""
        self._lag, self._lag_at = lag, time.monotonic()

    def acquired(self, lease: Lease, counters: Counters) -> None:
        """Record that the run was acquired.

        Args:
            lease: from the acquisition.
            counters: of the checkpoint.
        """
        _count(self._worker.acquisitions, self._reason)
        self._reason = _APPEARED
        self._counters = _copied(counters)
        self.generation, self.since_ms = int(lease.generation), self._worker.server_ms
        self.is_owned = True
        self.tick()

    def committed(self, figures: CommitFigures, seconds: float) -> None:
        """Count a commit.

        Args:
            figures: taken before the commit was sent.
            seconds: until its reply arrived.
        """
        worker = self._worker
        self.tick()
        if not figures.entries:
            worker.ownership_checks += 1
            return
        worker.commits += 1
        worker.commit_s.observe(seconds)
        worker.fold_s.observe(figures.folding_s)
        worker.commit_entries.observe(figures.entries)
        if worker.since_ms:
            worker.stream_s.observe((worker.server_ms - milliseconds(figures.oldest)) / 1000)
        self._count(figures)

    def _count(self, figures: CommitFigures) -> None:
        worker, before, after = self._worker, self._counters, figures.counters
        self._counters = after
        events = after.events - before.events
        self.events += events
        worker.events += events
        worker.entries += after.entries - before.entries
        worker.parked += after.parked - before.parked
        worker.duplicates += after.duplicates - before.duplicates
        for reason, lost in after.lost.items():
            if more := lost - before.lost.get(reason, 0):
                _count(worker.lost, reason, more)
        if events and not math.isnan(figures.event_at):
            worker.end_to_end_s.observe(time.time() - figures.event_at)

    def restarted(self, error: BaseException) -> None:
        """Record why the run restarts from its checkpoint. A gap or an entry to park is progress, and not an error."""
        self.is_owned, self._lag = False, Lag()
        if isinstance(error, UnconfirmedGap | FoldFailed | DeferredWriteFailed):
            self._reason = error.reason
            return
        self._reason = "refused" if isinstance(error, RestartRun) else _UNAVAILABLE
        self._worker.count_error("run", self._run_id, error)
        if isinstance(error, CommitRefused):
            _count(self._worker.commits_refused, error.reason)


def _copied(counters: Counters) -> Counters:
    one = counters
    return Counters(one.entries, one.events, one.parked, one.duplicates, dict(one.lost))


def _count(counts: dict[str, int], value: str, number: int = 1) -> None:
    if value not in counts and len(counts) >= _MAX_LABEL_VALUES:
        value = _OTHER
    counts[value] = counts.get(value, 0) + number
