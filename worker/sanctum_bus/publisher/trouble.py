"""What a publisher says in the log: trouble when it starts, when it changes and when it ends, with counts."""

import logging
import time
from contextlib import suppress

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


class Streak:
    """Failures in a row of one kind of work. A server that is away for a night is two lines in the log.

    Args:
        what: the work, with who does it, for the log.
        failures: where each is counted too.
        meanwhile: what becomes of events as long as it fails, for the log.
    """

    def __init__(self, what: str, failures: Failures, meanwhile: str = "") -> None:
        self._what = what
        self._meanwhile = f"; {meanwhile}" if meanwhile else ""
        self._failures = failures
        self._kind: str | None = None
        self._since = 0.0
        self._length = 0

    def failed(self, error: BaseException) -> int:
        """Note a failure; return how many there were in a row."""
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MAX_TEXT_CHARS]
        self._failures.count += 1
        self._failures.last = words
        self._length += 1
        if self._length == 1:
            self._since = time.monotonic()
        # The first word of a reply says what it is (OOM, READONLY, LOADING …); the rest has addresses and counts.
        kind = f"{type(error).__name__} {str(error).partition(' ')[0]}"
        if kind != self._kind:
            log.warning("cannot %s: %s%s", self._what, words, self._meanwhile)
        self._kind = kind
        return self._length

    def over(self) -> None:
        """Note a success."""
        if self._length:
            seconds = time.monotonic() - self._since
            log.warning("can %s again, after %d failures in %.1f s", self._what, self._length, seconds)
            self._kind = None
            self._length = 0


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
