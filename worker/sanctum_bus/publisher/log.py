"""Log lines of a publisher: failures when they start, change and end, and lost events, with counts."""

import logging
import time
from contextlib import suppress

from sanctum_bus.connection.retry import FailureStreak
from sanctum_bus.publisher.entry import Counts

_logger = logging.getLogger("sanctum_bus.publisher")


class _SafeLogger:
    """A logger that never raises: an error of the training's log handler must not stop the publisher."""

    def warning(self, message: str, *details: object) -> None:
        """Log a warning, unless a handler raises."""
        with suppress(Exception):
            _logger.warning(message, *details, stacklevel=2)


log = _SafeLogger()

#: Maximum number of characters of an error's text in a log line.
_MAX_TEXT_CHARS = 300


class Failures:
    """Counter of a publisher's failures of every kind.

    Attributes:
        count: number of failures.
        last: text of the last failure, or None.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last: str | None = None


class TaskLog:
    """Logs the failures of one task: the first, each of another kind, and the end. A long outage is two lines.

    Args:
        task: the task with its publisher, for the log.
        failures: counter of all failures of the publisher.
        consequence: effect on events while the task fails, for the log.
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
            log.warning("can %s again after %d failures in %.1f s", self._task, failures, seconds)


class LossLog:
    """Logs what training lost, from the counts of its publisher.

    Args:
        who: run and producer, for the log.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._dropped = 0
        self._is_dropping = self._has_rejected = self._has_unconvertible = False

    def check(self, counts: Counts) -> None:
        """Log each kind of loss that began or ended since the last call."""
        dropped = counts.dropped - counts.unnumbered
        is_dropping = dropped > self._dropped
        if is_dropping and not self._is_dropping:
            log.warning("buffer full: dropping the oldest events (%s)", self._who)
        elif self._is_dropping and not is_dropping:
            log.warning("dropping stopped; %d events dropped in total (%s)", dropped, self._who)
        self._is_dropping, self._dropped = is_dropping, dropped
        if counts.rejected and not self._has_rejected:
            log.warning(
                "event without a type rejected; further occurrences are counted, not logged (%s)", self._who
            )
        if counts.unconvertible and not self._has_unconvertible:
            log.warning(
                "unsupported value serialized with repr(); further occurrences are counted, not logged (%s)",
                self._who,
            )
        self._has_rejected, self._has_unconvertible = bool(counts.rejected), bool(counts.unconvertible)

    def summarize(self, counts: Counts) -> None:
        """Log the final counts, if any event was not sent as it was emitted."""
        if counts.buffered or counts.dropped or counts.rejected or counts.unconvertible:
            log.warning(
                "closed: %d events sent, %d unsent, %d dropped, %d rejected, %d values serialized with repr() (%s)",
                counts.sent,
                counts.buffered,
                counts.dropped,
                counts.rejected,
                counts.unconvertible,
                self._who,
            )
