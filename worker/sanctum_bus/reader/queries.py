"""What the reader asks, and what it makes of the answers; nothing here does I/O."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import msgpack
from redis.exceptions import ResponseError

from sanctum_bus.connection import refuse_old
from sanctum_bus.errors import InvalidArgument, UnknownRun
from sanctum_bus.protocol import coverage, keys, schema, stream_id
from sanctum_bus.protocol.coverage import TypeCoverage
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.protocol.stream_id import ZERO, checked_id
from sanctum_bus.protocol.text import decode_fields
from sanctum_bus.reader.effects import Program, Scan, ask
from sanctum_bus.reader.key_errors import ask_of, index_of_runs
from sanctum_bus.reader.lazy import Sections
from sanctum_bus.reader.models import TORN, BatchLine, DeadLetter, LogLine, RunInfo, Snapshot

#: Keys that one step of a SCAN looks at.
_SCAN_STEP = 1000

#: What a raw field of a parked entry is called: this, and its name.
_RAW = b"raw."


Since: TypeAlias = Snapshot | tuple[str, int]
Entries: TypeAlias = list[tuple[str, dict[bytes, bytes]]]


class Page(NamedTuple):
    """Which entries of a stream are wanted.

    Args:
        after: those with greater ids.
        limit: how many at most, the oldest of them.
        newest: instead of `limit`: the newest of them.
    """

    after: str = ZERO
    limit: int = 1000
    newest: int | None = None


def runs(prefix: str, *, scan: bool) -> Program[list[RunInfo]]:
    """Return the runs that there are, the one that was active last first; with `scan` also unregistered streams."""
    reply = yield from index_of_runs(prefix)
    # RESP2 has members and scores in turn, RESP3 has pairs.
    pairs = reply if reply and isinstance(reply[0], list | tuple) else _pairs(reply)
    active = {_text(name): float(score) / 1000 for name, score in pairs}
    streams = (yield from _scanned(prefix)) if scan else set()
    found = [RunInfo(name, at) for name, at in active.items() if _is_run_id(name)]
    found += [RunInfo(name) for name in streams - active.keys()]
    return sorted(found, key=lambda run: (-(run.last_activity or 0), run.run_id))


def _is_run_id(name: str) -> bool:
    try:
        keys.check_run_id(name)
    except InvalidArgument:
        return False
    return True


def _scanned(prefix: str) -> Program[set[str]]:
    names = yield Scan(("MATCH", keys.events_pattern(prefix), "COUNT", _SCAN_STEP, "TYPE", "stream"))
    found = {keys.run_of_events_key(_text(name), prefix) for name in names}
    return {name for name in found if name is not None}


def snapshot(run: RunKeys, since: Since | None) -> Program[Snapshot]:
    """Return the view of a run.

    Raises:
        UnknownRun: there is no such run.
        UnknownSchema: a newer version of Sanctum wrote it.
        BadInput: `since` is no version, or a view of another run.
        ServerTooOld: the server lacks read-only scripts.
    """
    found = yield from view(run, since)
    if found is None:
        raise unknown_run(run)
    return found


def head(run: RunKeys) -> Program[Snapshot]:
    """Return the view of a run without its sections.

    Raises: as `snapshot` does.
    """
    found = yield from view(run, None, want="head")
    if found is None:
        raise unknown_run(run)
    return found


def view(run: RunKeys, since: Since | None, *, want: str = "") -> Program[Snapshot | None]:
    """Return the view of a run, or None where there is no such run.

    Args:
        run: the run.
        since: as for `Reader.snapshot`.
        want: what of it, as the script calls it; else sections, and the names of all of them where they are not known.
    """
    known = since.names if isinstance(since, Snapshot) else None
    want = want or ("sections" if known else "names")
    call = calls.read_snapshot(run, *_since_arguments(run, since), want=want)
    try:
        reply = yield from calls.run_program(call, partial(ask_of, run))
    except ResponseError as error:
        if not str(error).lower().startswith("unknown command"):
            raise
        raise refuse_old(error, (yield from ask("INFO", "server"))) from None
    return _snapshot_of(run.run_id, reply, known or frozenset())


def _since_arguments(run: RunKeys, since: Since | None) -> tuple[str, str | int]:
    if isinstance(since, Snapshot):
        if since.run_id != run.run_id:
            raise InvalidArgument(f"`since` is a view of run {since.run_id!r}, not of {run.run_id!r}")
        since = (since.version, since.generation)
    if since is None or since[0] == TORN:
        return "", ""
    return checked_id(since[0]), since[1]


def _snapshot_of(run_id: str, reply: list[Any], known_names: frozenset[str]) -> Snapshot | None:
    known, names, _, last_id, seconds, microseconds, is_whole, *flat = reply
    if not known and not last_id:
        return None
    checkpoint = decode_fields(known)
    version = checkpoint.get("version", ZERO)
    now = int(seconds) + int(microseconds) / 1e6
    # What is only held, or has no checkpoint yet, was written by nobody.
    was_written = "generation" in checkpoint
    written_in = schema.check(run_id, checkpoint.get("schema")) if was_written else SCHEMA_VERSION
    raw = {_text(name): fields for name, fields in _pairs(flat)}
    names_now = known_names if names is None else frozenset(map(_text, names))
    if is_whole != b"1":
        names_now = _without_gone(names_now, raw)
    if written_in != SCHEMA_VERSION:
        decoded = {name: decode_fields(fields) for name, fields in raw.items()}
        raw = {**schema.upgrade(decoded, written_in)}
    sections = Sections(raw)
    return Snapshot(
        run_id,
        version,
        checkpoint.get("generation", 0),
        SCHEMA_VERSION if was_written else 0,
        now,
        None if version in {ZERO, TORN} else max(0.0, now - stream_id.milliseconds(version) / 1000),
        sections,
        names_now,
        frozenset(sections),
        _text(last_id),
        str(checkpoint.get("owner", "")),
        **{name: checkpoint[name] for name in _COUNTERS if name in checkpoint},
        closed=frozenset(checkpoint.get("closed", ())),
    )


def _without_gone(names: frozenset[str], changed: dict[str, Any]) -> frozenset[str]:
    """Take those that have no content out of what changed, and return the names of all sections that are left."""
    gone = [name for name, fields in changed.items() if not fields]
    for name in gone:
        del changed[name]
    return names if not gone and names.issuperset(changed) else names.difference(gone).union(changed)


_COUNTERS = ("events", "parked", "duplicates", "lost", "lost_ranges", "producers")


def entries(run: RunKeys, key: str, page: Page) -> Program[Entries]:
    """Return entries of one of a run's streams, the oldest first.

    Raises:
        UnknownRun: there is nothing, and no such run.
        BadInput: the page cannot be.
    """
    after = f"({checked_id(page.after)}"
    if page.newest is None:
        found = yield from ask_of(run, "XRANGE", key, after, "+", "COUNT", _positive(page.limit))
    else:
        found = yield from ask_of(run, "XREVRANGE", key, "+", after, "COUNT", _positive(page.newest))
        found = found[::-1]
    if not found:
        yield from require_run(run)
    return texts(found)


def texts(found: list[tuple[bytes, dict[bytes, bytes]]]) -> Entries:
    """Return entries as redis-py gives them, with ids as text."""
    return [(_text(entry_id), fields) for entry_id, fields in found]


def log(run: RunKeys, page: Page) -> Program[list[LogLine]]:
    """Return lines of the seed event log."""
    return log_lines((yield from entries(run, run.log, page)))


def log_lines(found: Entries) -> list[LogLine]:
    """Return entries of the log as lines."""
    return [_log_line(entry_id, _decoded(flat)) for entry_id, flat in found]


def _log_line(entry_id: str, fields: dict[str, Any]) -> LogLine:
    return LogLine(
        entry_id,
        fields.get("type", ""),
        fields.get("at"),
        fields.get("env_id"),
        fields.get("slot_id"),
        fields.get("blueprint_id"),
        fields.get("episode"),
        fields.get("message", ""),
        fields.get("data", {}),
        fields.get("lost", 0),
        fields.get("dropped", 0),
        fields.get("trimmed", 0),
    )


def batches(run: RunKeys, page: Page) -> Program[list[BatchLine]]:
    """Return lines of the curves."""
    lines = []
    for entry_id, flat in (yield from entries(run, run.batches, page)):
        fields = _decoded(flat)
        lines.append(BatchLine(entry_id, fields.pop("at", None), fields.pop("group_id", ""), fields))
    return lines


def dead(run: RunKeys, page: Page) -> Program[list[DeadLetter]]:
    """Return parked entries."""
    found = yield from entries(run, run.dead, page)
    return [
        DeadLetter(entry_id, _text(flat.get(b"source_id", b"")), _text(flat.get(b"reason", b"")), _raw(flat))
        for entry_id, flat in found
    ]


def _raw(flat: dict[bytes, bytes]) -> dict[str, bytes]:
    packed = flat.get(b"raw")
    raw: dict[bytes, bytes] = {} if packed is None else msgpack.unpackb(packed)
    raw |= {name.removeprefix(_RAW): value for name, value in flat.items() if name.startswith(_RAW)}
    return {name.decode("utf-8", "backslashreplace"): value for name, value in raw.items()}


def seen(run: RunKeys) -> Program[list[TypeCoverage]]:
    """Return which types and fields were seen, and how often.

    Raises:
        UnknownRun: there is nothing, and no such run.
    """
    counts = yield from ask_of(run, "HGETALL", run.coverage)
    if not counts:
        yield from require_run(run)
    return coverage.report(_decoded(counts))


def require_run(run: RunKeys) -> Program[None]:
    """Return if there is such a run: asked for only where an answer was empty.

    Raises:
        UnknownRun: there is none.
    """
    if not (yield from ask("EXISTS", run.events, run.checkpoint)):
        raise unknown_run(run)


def unknown_run(run: RunKeys) -> UnknownRun:
    """Return the error for a run that is not there."""
    return UnknownRun(f"there is no run {run.run_id!r} on this server; `sanctum runs` lists what there is")


def _positive(count: int) -> int:
    if count < 1:
        raise InvalidArgument(f"a count of {count} asks for nothing: it must be 1 or more")
    return count


def _pairs(flat: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    items = iter(flat)
    return zip(items, items, strict=True)


def _decoded(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    return decode_fields(chain.from_iterable(fields.items()))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
