"""What the loops of a worker report, once for each commit and never for an event; nothing here does I/O.

The loops write and a server's thread reads, without a lock: every number is good by itself.
"""

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from sanctum_bus.connection.retry import FailureStreak, error_kind, is_lost_connection
from sanctum_bus.errors import CommitRefused, DeferredWriteFailed, FoldFailed, RestartRun, UnconfirmedGap
from sanctum_bus.fold.counters import Counters
from sanctum_bus.protocol.stream_id import milliseconds
from sanctum_bus.worker.metrics.histogram import LATENCIES_S, SECONDS, SIZES, Histogram
from sanctum_bus.worker.registry import Lag, Membership
from sanctum_bus.worker.store import Commit, Lease

#: Different words that one label may have; what comes after is counted under this one.
_MAX_WORDS = 40
_OTHER = "other"

#: Characters of an error's text that are kept.
_MAX_TEXT_CHARS = 300

#: Seconds after which nobody knows any more how far a run is behind: several looks.
_STANDING_S = 10.0

#: Why a run is acquired, unless a gap, a failed fold or a refused commit is the reason.
_ASSIGNED, _APPEARED, _UNAVAILABLE = "assigned", "appeared", "unavailable"


class LastError(NamedTuple):
    """The last trouble that a worker had.

    Args:
        at_ms: when, by the server's clock as far as the worker knows it.
        work: of which loop: `run`, `discovery`, `scan` or `watch`.
        where: the run, or "".
        text: the error in words.
    """

    at_ms: int
    work: str
    where: str
    kind: str
    text: str


class CommitFigures(NamedTuple):
    """What the metrics count of one commit. The figures are taken before the commit is sent.

    Args:
        counters: a copy of the run's counters.
        entries: number of entries.
        oldest: ID of the first entry, "" if there is none.
        event_at: when the last event was emitted, Unix seconds; NaN if no event says.
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
class Work:
    """One loop of a worker: when it last turned, and whether it is in trouble."""

    turned_at: float
    streak: FailureStreak = field(default_factory=FailureStreak)


@dataclass
class WorkerMetrics:
    """A worker's counts since its start.

    Args:
        lease_s: how long it counts as alive after a beat.
        stuck_s: how long a loop may take for a turn.
    """

    worker: str = ""
    lease_s: float = math.inf
    stuck_s: float = math.inf
    entries: int = 0
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    commits: int = 0
    empty_commits: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    takeovers: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    troubles: dict[tuple[str, str], int] = field(default_factory=dict)
    reconnects: int = 0
    commit_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    fold_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    batch_entries: Histogram = field(default_factory=lambda: Histogram(SIZES))
    event_latency_s: Histogram = field(default_factory=lambda: Histogram(LATENCIES_S))
    arrival_latency_s: Histogram = field(default_factory=lambda: Histogram(LATENCIES_S))
    waiting: int = 0
    since_ms: int = 0
    last_error: LastError | None = None
    runs: dict[str, "RunMetrics"] = field(default_factory=dict)
    works: dict[str, Work] = field(default_factory=dict)
    beat_at: float = -math.inf
    _server_ahead_ms: float = 0.0

    def run(self, run_id: str) -> "RunMetrics":
        """Return a new meter for a run that this worker begins to fold."""
        meter = self.runs[run_id] = RunMetrics(self, run_id)
        return meter

    def forget(self, run_id: str) -> None:
        """Forget a run that this worker folds no more; what was counted of it stays counted."""
        self.runs.pop(run_id, None)

    def beat(self, asked_at: float, membership: Membership) -> None:
        """Note that the server knows this worker as alive.

        Args:
            asked_at: when it was asked, by `time.monotonic`.
            membership: its answer.
        """
        self.beat_at = asked_at
        self.since_ms = self.since_ms or membership.now_ms
        self._server_ahead_ms = membership.now_ms - asked_at * 1000

    @property
    def server_ms(self) -> int:
        """The server's time now, as far as the last beat told; 0 before the first."""
        return int(time.monotonic() * 1000 + self._server_ahead_ms) if self.since_ms else 0

    def turned(self, work: str) -> Work:
        """Note that a loop begins another turn."""
        found = self.works.get(work)
        if found is None:
            found = self.works[work] = Work(0.0)
        found.turned_at = time.monotonic()
        return found

    def done(self, work: str) -> int:
        """Note that a loop's turn went well; return how many failures in a row that has ended."""
        return self.turned(work).streak.reset()

    def failed(self, work: str, error: Exception) -> bool:
        """Note that a loop's turn failed; return whether that is news."""
        self.troubled(work, "", error)
        return self.turned(work).streak.record(error)

    def troubled(self, work: str, where: str, error: BaseException) -> None:
        """Count trouble, and keep it as the last."""
        kind = error_kind(error)
        self.reconnects += is_lost_connection(error)
        if (work, kind) not in self.troubles and len(self.troubles) >= _MAX_WORDS:
            kind = _OTHER
        self.troubles[work, kind] = self.troubles.get((work, kind), 0) + 1
        self.last_error = LastError(self.server_ms, work, where, kind, str(error)[:_MAX_TEXT_CHARS])


class RunMetrics:
    """What one run's loop reports. Without a worker's metrics, the reports go nowhere.

    Attributes:
        generation: of the lease.
        since_ms: when the run was acquired, server time in ms.
        is_owned: the run was acquired, and no error has occurred since.
        events: events that this worker has folded and committed.
    """

    def __init__(self, tally: WorkerMetrics | None = None, run_id: str = "") -> None:
        self._tally = tally or WorkerMetrics()
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
        return self._lag if time.monotonic() - self._lag_at < _STANDING_S else Lag()

    def set_lag(self, lag: Lag) -> None:
        """Record how far the run is behind."""
        self._lag, self._lag_at = lag, time.monotonic()

    def acquired(self, lease: Lease, counters: Counters) -> None:
        """Record that the run was acquired.

        Args:
            lease: from the acquisition.
            counters: of the checkpoint.
        """
        _count(self._tally.takeovers, self._reason)
        self._reason = _APPEARED
        self._counters = _copied(counters)
        self.generation, self.since_ms = int(lease.generation), self._tally.server_ms
        self.is_owned = True
        self.tick()

    def committed(self, figures: CommitFigures, seconds: float) -> None:
        """Count a commit.

        Args:
            figures: taken before the commit was sent.
            seconds: until its reply arrived.
        """
        tally = self._tally
        self.tick()
        if not figures.entries:
            tally.empty_commits += 1
            return
        tally.commits += 1
        tally.commit_s.observe(seconds)
        tally.fold_s.observe(figures.folding_s)
        tally.batch_entries.observe(figures.entries)
        if tally.since_ms:
            tally.arrival_latency_s.observe((tally.server_ms - milliseconds(figures.oldest)) / 1000)
        self._count(figures)

    def _count(self, figures: CommitFigures) -> None:
        tally, before, after = self._tally, self._counters, figures.counters
        self._counters = after
        events = after.events - before.events
        self.events += events
        tally.events += events
        tally.entries += after.entries - before.entries
        tally.parked += after.parked - before.parked
        tally.duplicates += after.duplicates - before.duplicates
        for reason, lost in after.lost.items():
            if more := lost - before.lost.get(reason, 0):
                _count(tally.lost, reason, more)
        if events and not math.isnan(figures.event_at):
            tally.event_latency_s.observe(time.time() - figures.event_at)

    def restarted(self, error: BaseException) -> None:
        """Record why the run restarts from its checkpoint. A gap or an entry to park is progress, and not an error."""
        self.is_owned, self._lag = False, Lag()
        if isinstance(error, UnconfirmedGap | FoldFailed | DeferredWriteFailed):
            self._reason = error.reason
            return
        self._reason = "refused" if isinstance(error, RestartRun) else _UNAVAILABLE
        self._tally.troubled("run", self._run_id, error)
        if isinstance(error, CommitRefused):
            _count(self._tally.refused, error.reason)


def _copied(counters: Counters) -> Counters:
    one = counters
    return Counters(one.entries, one.events, one.parked, one.duplicates, dict(one.lost))


def _count(counts: dict[str, int], word: str, number: int = 1) -> None:
    if word not in counts and len(counts) >= _MAX_WORDS:
        word = _OTHER
    counts[word] = counts.get(word, 0) + number
