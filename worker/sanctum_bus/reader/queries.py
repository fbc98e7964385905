"""Programs that read runs from Redis, without I/O. replies.py turns the replies into records."""

from functools import partial
from typing import NamedTuple, TypeAlias

from redis.exceptions import ResponseError

from sanctum_bus.connection import refuse_old
from sanctum_bus.errors import InvalidArgument, UnknownRun
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.coverage import TypeCoverage
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.protocol.stream_id import ZERO, checked_id
from sanctum_bus.reader import replies
from sanctum_bus.reader.effects import Program, Scan, read
from sanctum_bus.reader.key_errors import read_index, read_run
from sanctum_bus.reader.models import TORN, BatchLine, DeadLetter, LogLine, RunInfo, Snapshot
from sanctum_bus.reader.replies import Entries

#: Keys that one step of a SCAN examines.
_SCAN_STEP = 1000

#: A snapshot, or the version and the generation of one.
Since: TypeAlias = Snapshot | tuple[str, int]


class Page(NamedTuple):
    """Which entries of a stream to return.

    Args:
        after: return only entries with greater IDs.
        limit: maximum number, from the oldest.
        newest: maximum number, from the newest; replaces `limit`.
    """

    after: str = ZERO
    limit: int = 1000
    newest: int | None = None


def runs(prefix: str, *, scan: bool) -> Program[list[RunInfo]]:
    """Return the runs on the server, most recently active first.

    Args:
        prefix: the key prefix.
        scan: also find streams that are not in the index of runs.
    """
    active = replies.activity((yield from read_index(prefix)))
    streams = (yield from _scan(prefix)) if scan else set()
    found = [RunInfo(name, at) for name, at in active.items() if _is_run_id(name)]
    found += [RunInfo(name) for name in streams - active.keys()]
    return sorted(found, key=lambda run: (-(run.last_activity or 0), run.run_id))


def _is_run_id(name: str) -> bool:
    try:
        keys.check_run_id(name)
    except InvalidArgument:
        return False
    return True


def _scan(prefix: str) -> Program[set[str]]:
    names = yield Scan(("MATCH", keys.events_pattern(prefix), "COUNT", _SCAN_STEP, "TYPE", "stream"))
    found = {keys.run_of_events_key(replies.text_of(name), prefix) for name in names}
    return {name for name in found if name is not None}


def snapshot(run: RunKeys, since: Since | None) -> Program[Snapshot]:
    """Return a snapshot of a run.

    Raises:
        UnknownRun: the run does not exist.
        UnknownSchema: a newer version of Sanctum wrote it.
        InvalidArgument: `since` is not a version, or is a snapshot of another run.
        ServerTooOld: the server lacks read-only scripts.
    """
    found = yield from find_snapshot(run, since)
    if found is None:
        raise unknown_run(run)
    return found


def counters(run: RunKeys) -> Program[Snapshot]:
    """Return a snapshot of a run without its sections.

    Raises: as `snapshot` does.
    """
    found = yield from find_snapshot(run, None, want="head")
    if found is None:
        raise unknown_run(run)
    return found


def find_snapshot(run: RunKeys, since: Since | None, *, want: str = "") -> Program[Snapshot | None]:
    """Return a snapshot of a run, or None if the run does not exist.

    Args:
        run: the keys of the run.
        since: as for `Reader.snapshot`.
        want: the part that the script returns; empty: sections, and the names of all sections unless `since` has them.
    """
    known = since.names if isinstance(since, Snapshot) else None
    want = want or ("sections" if known else "names")
    call = calls.read_snapshot(run, *_since_arguments(run, since), want=want)
    try:
        reply = yield from calls.run_program(call, partial(read_run, run))
    except ResponseError as error:
        if not str(error).lower().startswith("unknown command"):
            raise
        raise refuse_old(error, (yield from read("INFO", "server"))) from None
    return replies.snapshot(run.run_id, reply, known or frozenset())


def _since_arguments(run: RunKeys, since: Since | None) -> tuple[str, str | int]:
    if isinstance(since, Snapshot):
        if since.run_id != run.run_id:
            raise InvalidArgument(f"`since` is a snapshot of run {since.run_id!r}, not of {run.run_id!r}")
        since = (since.version, since.generation)
    if since is None or since[0] == TORN:
        return "", ""
    return checked_id(since[0]), since[1]


def entries(run: RunKeys, key: str, page: Page) -> Program[Entries]:
    """Return entries of one stream of a run, oldest first.

    Args:
        run: the keys of the run.
        key: the key of the stream.
        page: which entries.

    Raises:
        UnknownRun: the stream is empty, and the run does not exist.
        InvalidArgument: the page has an invalid ID or count.
    """
    after = f"({checked_id(page.after)}"
    if page.newest is None:
        found = yield from read_run(run, "XRANGE", key, after, "+", "COUNT", _checked_count(page.limit))
    else:
        count = _checked_count(page.newest)
        found = yield from read_run(run, "XREVRANGE", key, "+", after, "COUNT", count)
        found = found[::-1]
    if not found:
        yield from require_run(run)
    return replies.entries(found)


def log(run: RunKeys, page: Page) -> Program[list[LogLine]]:
    """Return lines of the seed event log."""
    return replies.log_lines((yield from entries(run, run.log, page)))


def batches(run: RunKeys, page: Page) -> Program[list[BatchLine]]:
    """Return lines of the batches stream."""
    return replies.batch_lines((yield from entries(run, run.batches, page)))


def dead_letters(run: RunKeys, page: Page) -> Program[list[DeadLetter]]:
    """Return dead letters."""
    return replies.dead_letters((yield from entries(run, run.dead, page)))


def coverage(run: RunKeys) -> Program[list[TypeCoverage]]:
    """Return how often each event type and each field was seen.

    Raises:
        UnknownRun: there are no counts, and the run does not exist.
    """
    counts = yield from read_run(run, "HGETALL", run.coverage)
    if not counts:
        yield from require_run(run)
    return replies.coverage_report(counts)


def require_run(run: RunKeys) -> Program[None]:
    """Check that a run exists. Only an empty reply needs this check.

    Raises:
        UnknownRun: the run does not exist.
    """
    if not (yield from read("EXISTS", run.events, run.checkpoint)):
        raise unknown_run(run)


def unknown_run(run: RunKeys) -> UnknownRun:
    """Return the error for a run that does not exist."""
    return UnknownRun(f"there is no run {run.run_id!r} on this server; 'sanctum runs' lists the runs")


def _checked_count(count: int) -> int:
    if count < 1:
        raise InvalidArgument(f"count must be at least 1, not {count}")
    return count
