"""Follow a run: its snapshots, and the lines of its log."""

from sanctum_bus.protocol import stream_id
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.stream_id import ZERO, checked_id, is_id
from sanctum_bus.reader import replies
from sanctum_bus.reader.effects import Program
from sanctum_bus.reader.key_errors import read_run
from sanctum_bus.reader.models import LogLine, Snapshot
from sanctum_bus.reader.polling import Poller, PollPolicy
from sanctum_bus.reader.queries import Page, entries, find_snapshot, require_run, unknown_run
from sanctum_bus.reader.replies import Entries

#: In place of an ID: only lines that are added from now on.
NEWEST = "$"

#: Maximum lines of one read.
_MAX_LINES = 1000


def snapshots(run: RunKeys, policy: PollPolicy) -> Poller[Snapshot]:
    """Return the poller of a run's snapshots."""
    return Poller(_Snapshots(run).read, run, policy)


def lines(run: RunKeys, after: str, policy: PollPolicy) -> Poller[LogLine]:
    """Return the poller of a run's log.

    Args:
        run: the keys of the run.
        after: only lines with greater IDs; `$`: only new lines.
        policy: how long to wait.

    Raises:
        InvalidArgument: `after` is not a stream ID, or a time of the policy is out of range.
    """
    return Poller(_Lines(run, after).read, run, policy)


class _Snapshots:
    """The complete snapshots of a run, each merged from the last one and what changed."""

    def __init__(self, run: RunKeys) -> None:
        self._run = run
        self._last: Snapshot | None = None

    def read(self) -> Program[list[Snapshot]]:
        """Return the snapshot if it differs from the last one.

        Raises:
            UnknownRun: the run does not exist, and never did for this follower.
        """
        last = self._last
        fresh = yield from find_snapshot(self._run, last)
        if fresh is None:
            if last is None:
                raise unknown_run(self._run)
            # The server was flushed, or the run was removed: the snapshot is empty now.
            fresh = Snapshot(self._run.run_id)
        if last is not None:
            if _identity(fresh) == _identity(last):
                return []
            fresh = fresh.merged_onto(last)
        self._last = fresh
        return [fresh]


def _identity(snapshot: Snapshot) -> tuple[int, str, bool]:
    """Return what equal snapshots share. A worker that falls behind or catches up changes `is_current`."""
    return snapshot.generation, snapshot.version, snapshot.is_current


class _Lines:
    """The lines of the seed event log after an ID.

    A log may restart with IDs below those that were read: the worker began a new history, or the server was flushed.
    Therefore each read starts at the last line that was read. If that line is missing, one of these holds:

    - the cap removed it, and all lines before it;
    - its entry is being folded again;
    - the log is a new one, and is read from its beginning.
    """

    def __init__(self, run: RunKeys, after: str) -> None:
        self._run = run
        self._after = after if after == NEWEST else checked_id(after)
        self._was_read = False
        self._exists = False

    def read(self) -> Program[list[LogLine]]:
        """Return the new lines.

        Raises:
            UnknownRun: the run does not exist, and never did for this follower.
        """
        if self._after == NEWEST:
            newest = yield from entries(self._run, self._run.log, Page(newest=1))
            self._after, self._exists = (newest[0][0] if newest else ZERO), True
            self._was_read = bool(newest)
            return []
        found = yield from self._from_last()
        if self._after != ZERO and (yield from self._is_new_log(found)):
            self._after, self._was_read = ZERO, False
            found = yield from self._from_last()
        if not found and not self._exists:
            yield from require_run(self._run)
        self._exists = True
        if found and found[0][0] == self._after:
            del found[0]
        if not found:
            return []
        self._after, self._was_read = found[-1][0], True
        return replies.log_lines(found)

    def _from_last(self) -> Program[Entries]:
        """Return the lines from the last one that was read, including it."""
        command = ("XRANGE", self._run.log, self._after, "+", "COUNT", _MAX_LINES)
        return replies.entries((yield from read_run(self._run, *command)))

    def _is_new_log(self, found: Entries) -> Program[bool]:
        """Return whether the log is not the one that was read."""
        if found:
            # If the cap removed the line, reading from the beginning returns the same lines.
            return self._was_read and found[0][0] != self._after
        is_folded, is_in_stream = yield from self._reached()
        if not self._was_read:
            # The ID need not be that of a line: the entry of a snapshot's version may have caused none.
            return not (is_folded or is_in_stream)
        if is_in_stream and not is_folded:
            return False
        # Read again: the entry may have been folded just after the first read.
        return not (yield from self._from_last())

    def _reached(self) -> Program[tuple[bool, bool]]:
        """Return whether the version has reached the last ID, and whether the stream has."""
        version = yield from read_run(self._run, "HGET", self._run.checkpoint, "version")
        last = yield from read_run(self._run, "XREVRANGE", self._run.events, "+", "-", "COUNT", 1)
        after = stream_id.parse(self._after)
        known = (version or b"", last[0][0] if last else b"")
        is_folded, is_in_stream = (is_id(one) and stream_id.parse(one.decode()) >= after for one in known)
        return is_folded, is_in_stream
