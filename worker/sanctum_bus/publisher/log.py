"""What a publisher says in the log: trouble when it starts, when it changes and when it ends, with counts."""

import logging
import time
from contextlib import suppress

from sanctum_bus.connection.retry import FailureStreak
from sanctum_bus.publisher.buffer import Counts

_logger = logging.getLogger("sanctum_bus.publisher")


class _Log:
    """The log, which ends nothing: a handler of the training's that raises is its own trouble."""

    def warning(self, words: str, *details: object) -> None:
        """Say something, if anybody can hear it."""
        with suppress(Exception):
            _logger.warning(words, *details, stacklevel=2)


log = _Log()

#: Characters of a foreign error's text that are shown.
_MAX_TEXT_CHARS = 300


class Failures:
    """Failures of a publisher, of every kind.

    Attributes:
        count: how many there were.
        last: the last one in words, or None.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last: str | None = None


class TaskLog:
    """Logs the failures of one task: the first, each of another kind, and the end. A night of outage is two lines.

    Args:
        task: the task with its publisher, for the log.
        failures: counts each failure too.
        consequence: what happens to events while the task fails, for the log.
    """

    def __init__(self, task: str, failures: Failures, consequence: str = "") -> None:
        self._task = task
        self._consequence = f"; {consequence}" if consequence else ""
        self._failures = failures
        self._streak = FailureStreak()
        self._since = 0.0

    def failed(self, error: BaseException) -> int:
        """Record a failure; return the number of failures in a row."""
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MAX_TEXT_CHARS]
        self._failures.count += 1
        self._failures.last = text
        if not self._streak.failures:
            self._since = time.monotonic()
        if self._streak.record(error):
            log.warning("cannot %s: %s%s", self._task, text, self._consequence)
        return self._streak.failures

    def succeeded(self) -> None:
        """Record a success."""
        if failures := self._streak.reset():
            seconds = time.monotonic() - self._since
            log.warning("can %s again, after %d failures in %.1f s", self._task, failures, seconds)


class Losses:
    """Looks at the counts from time to time and reports what training lost.

    Args:
        who: run and producer, for the log.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._dropped = 0
        self._dropping = self._rejected = self._unconvertible = False

    def look_at(self, counts: Counts) -> None:
        """Report what began or ended since the last look."""
        dropped = counts.dropped - counts.unnumbered
        if dropped > self._dropped and not self._dropping:
            log.warning("the buffer is full: the oldest events are dropped (%s)", self._who)
        elif dropped == self._dropped and self._dropping:
            log.warning("no more events are dropped; %d were so far (%s)", dropped, self._who)
        self._dropping = dropped > self._dropped
        self._dropped = dropped
        if counts.rejected and not self._rejected:
            log.warning("an event without a type was rejected; more are only counted (%s)", self._who)
        if counts.unconvertible and not self._unconvertible:
            log.warning("a value was sent as its repr; more are only counted (%s)", self._who)
        self._rejected, self._unconvertible = bool(counts.rejected), bool(counts.unconvertible)

    def sum_up(self, counts: Counts) -> None:
        """Report at the end what did not arrive as it was emitted, if anything."""
        if counts.buffered or counts.dropped or counts.rejected or counts.unconvertible:
            log.warning(
                "closed: %d events sent, %d left behind, %d dropped, %d rejected, %d values as their repr (%s)",
                counts.sent,
                counts.buffered,
                counts.dropped,
                counts.rejected,
                counts.unconvertible,
                self._who,
            )
