"""What is followed: the view of a run, and the lines of its log."""

from sanctum_bus.protocol import stream_id
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.stream_id import ZERO, checked_id, is_id
from sanctum_bus.reader.effects import Program
from sanctum_bus.reader.key_errors import ask_of
from sanctum_bus.reader.models import LogLine, Snapshot
from sanctum_bus.reader.polling import Poller, PollPolicy
from sanctum_bus.reader.queries import (
    Entries,
    Page,
    entries,
    log_lines,
    require_run,
    texts,
    unknown_run,
    view,
)

#: Instead of an id: what comes after the newest line.
NEWEST = "$"

#: Lines that one look takes.
_LINES = 1000


def views(run: RunKeys, patience: PollPolicy) -> Poller[Snapshot]:
    """Return the watch over a run's view."""
    return Poller(_Views(run).look, run, patience)


def lines(run: RunKeys, after: str, patience: PollPolicy) -> Poller[LogLine]:
    """Return the watch over a run's log."""
    return Poller(_Lines(run, after).look, run, patience)


class _Views:
    """The views of a run, each whole, put together from what changed."""

    def __init__(self, run: RunKeys) -> None:
        self._run = run
        self._last: Snapshot | None = None

    def look(self) -> Program[list[Snapshot]]:
        """Return the view if it is another one.

        Raises:
            UnknownRun: there is no such run, and never was one here.
        """
        last = self._last
        fresh = yield from view(self._run, last)
        if fresh is None:
            if last is None:
                raise unknown_run(self._run)
            # The server was emptied, or the run removed: that is what there is to see.
            fresh = Snapshot(self._run.run_id)
        if last is not None:
            if _mark(fresh) == _mark(last):
                return []
            fresh = fresh.over(last)
        self._last = fresh
        return [fresh]


def _mark(snapshot: Snapshot) -> tuple[int, str, bool]:
    """Return what two equal views have in common: an owner that fell behind or caught up makes another one."""
    return snapshot.generation, snapshot.version, snapshot.is_current


class _Lines:
    """The lines of the seed event log, from one id on.

    A log may begin anew, with ids that may be below those that were read: the worker began a new history, or the
    server was emptied. So the read starts at the line that was read last: it is there, or the cap has taken it and
    all before it, or it is being folded again, or else the log is another one and is read from its beginning.
    """

    def __init__(self, run: RunKeys, after: str) -> None:
        self._run = run
        self._after = after if after == NEWEST else checked_id(after)
        self._was_read = False
        self._exists = False

    def look(self) -> Program[list[LogLine]]:
        """Return the lines that are new.

        Raises:
            UnknownRun: there is no such run, and never was one here.
        """
        if self._after == NEWEST:
            newest = yield from entries(self._run, self._run.log, Page(newest=1))
            self._after, self._exists = (newest[0][0] if newest else ZERO), True
            self._was_read = bool(newest)
            return []
        found = yield from self._read()
        if self._after != ZERO and (yield from self._is_another(found)):
            self._after, self._was_read = ZERO, False
            found = yield from self._read()
        if not found and not self._exists:
            yield from require_run(self._run)
        self._exists = True
        if found and found[0][0] == self._after:
            del found[0]
        if not found:
            return []
        self._after, self._was_read = found[-1][0], True
        return log_lines(found)

    def _read(self) -> Program[Entries]:
        found = yield from ask_of(self._run, "XRANGE", self._run.log, self._after, "+", "COUNT", _LINES)
        return texts(found)

    def _is_another(self, found: Entries) -> Program[bool]:
        if found:
            # Where only the cap took the line, the log's beginning is behind it anyway.
            return self._was_read and found[0][0] != self._after
        is_folded, is_there = yield from self._reaches()
        if not self._was_read:
            # Any id may be a place in the log: that of a version, say, which caused no line.
            return not (is_folded or is_there)
        if is_there and not is_folded:
            return False
        # Asked again: it may have been folded just after the first time.
        return not (yield from self._read())

    def _reaches(self) -> Program[tuple[bool, bool]]:
        """Return whether the version has reached the id, and whether the stream has."""
        version = yield from ask_of(self._run, "HGET", self._run.checkpoint, "version")
        last = yield from ask_of(self._run, "XREVRANGE", self._run.events, "+", "-", "COUNT", 1)
        after = stream_id.parse(self._after)
        known = (version or b"", last[0][0] if last else b"")
        is_folded, is_there = (is_id(one) and stream_id.parse(one.decode()) >= after for one in known)
        return is_folded, is_there
