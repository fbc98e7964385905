"""What the loops of a worker report, once for each commit and never for an event; nothing here does I/O.

The loops write and a server's thread reads, without a lock: every number is good by itself.
"""

import math
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from sanctum_bus.connection.retry import FailureStreak, error_kind, is_lost_connection
from sanctum_bus.errors import CommitRefused, DeferredWriteFailed, FoldFailed, RestartRun, UnconfirmedGap
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.counters import Counters
from sanctum_bus.protocol.stream_id import milliseconds
from sanctum_bus.worker.metrics.histogram import LATENCIES_S, SECONDS, SIZES, Histogram
from sanctum_bus.worker.registry import Lag, Membership
from sanctum_bus.worker.store import InFlight, Lease

T = TypeVar("T")

#: Different words that one label may have; what comes after is counted under this one.
_MAX_WORDS = 40
_OTHER = "other"

#: Characters of an error's text that are kept.
_MAX_TEXT_CHARS = 300

#: Seconds after which nobody knows any more how far a run is behind: several looks.
_STANDING_S = 10.0

#: Why a run is taken over, where it is not because of an error.
_ASSIGNED, _APPEARED, _SERVER = "assigned", "appeared", "server"


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


class _Cut(NamedTuple):
    """What a commit is about.

    Args:
        oldest: id of its first entry, "" where there is none.
        event_at: when the last event was emitted, Unix seconds; NaN where nobody knows.
        folding_s: how long it was folded.
    """

    counters: Counters
    entries: int
    oldest: str
    event_at: float
    folding_s: float


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
    """What one run's loop reports. One that belongs to no worker counts for nobody.

    Attributes:
        generation: the fence of the last take-over.
        since_ms: when it was, server's time.
        is_owned: no trouble since.
        events: events folded and committed by this worker.
    """

    def __init__(self, tally: WorkerMetrics | None = None, run_id: str = "") -> None:
        self._tally = tally or WorkerMetrics()
        self._run_id = run_id
        self._counters = Counters()
        self._reason = _ASSIGNED
        self._folding_s = 0.0
        self.turned_at = time.monotonic()
        self.generation = self.since_ms = self.events = 0
        self.is_owned = False
        self._standing, self._stood_at = Lag(), 0.0

    def turned(self) -> None:
        """Note that the loop begins another turn."""
        self.turned_at = time.monotonic()

    def waits(self) -> None:
        """Note that the loop waits for other runs, for as long as they need."""
        self.turned_at = math.inf

    @property
    def standing(self) -> Lag:
        """How far the run was behind when somebody last looked; nobody knows it where that was long ago."""
        return self._standing if time.monotonic() - self._stood_at < _STANDING_S else Lag()

    def stands(self, standing: Lag) -> None:
        """Note how far the run is behind."""
        self._standing, self._stood_at = standing, time.monotonic()

    def taken_over(self, taken: Lease, counters: Counters) -> None:
        """Note that the run was taken over, with these counters."""
        _count(self._tally.takeovers, self._reason)
        self._reason = _APPEARED
        self._folding_s = 0.0
        self._counters = _copied(counters)
        self.generation, self.since_ms = int(taken.generation), self._tally.server_ms
        self.is_owned = True
        self.turned()

    def folded(self, seconds: float) -> None:
        """Note how long some entries were folded."""
        self._folding_s += seconds

    def commits(self, aggregate: Aggregate, held: InFlight, request: Awaitable[T]) -> Awaitable[T]:
        """Return the request of a commit, which is counted when it has its reply; what it is about is settled now."""
        event_at = aggregate.state.sections.get("run", {}).get("last_event_at")
        cut = _Cut(
            _copied(aggregate.counters),
            len(held.ids),
            held.ids[0] if held.ids else "",
            event_at if isinstance(event_at, float) else math.nan,
            self._folding_s,
        )
        self._folding_s = 0.0
        return self._counted(cut, request)

    async def _counted(self, cut: _Cut, request: Awaitable[T]) -> T:
        began = time.monotonic()
        reply = await request
        tally = self._tally
        self.turned()
        if not cut.entries:
            tally.empty_commits += 1
            return reply
        tally.commits += 1
        tally.commit_s.observe(time.monotonic() - began)
        tally.fold_s.observe(cut.folding_s)
        tally.batch_entries.observe(cut.entries)
        if tally.since_ms:
            tally.arrival_latency_s.observe((tally.server_ms - milliseconds(cut.oldest)) / 1000)
        self._count(cut)
        return reply

    def _count(self, cut: _Cut) -> None:
        tally, before, after = self._tally, self._counters, cut.counters
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
        if events and not math.isnan(cut.event_at):
            tally.event_latency_s.observe(time.time() - cut.event_at)

    def started_over(self, error: BaseException) -> None:
        """Note why the state was thrown away; a hole or an entry that spoils a fold is no trouble, but progress."""
        self.is_owned, self._standing = False, Lag()
        if isinstance(error, UnconfirmedGap | FoldFailed | DeferredWriteFailed):
            self._reason = error.reason
            return
        self._reason = "refused" if isinstance(error, RestartRun) else _SERVER
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
