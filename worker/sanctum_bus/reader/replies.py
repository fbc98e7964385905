"""Records from the replies of Redis. Nothing here does I/O."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeAlias

from sanctum_bus.protocol import coverage, dead_letter, schema, stream_id
from sanctum_bus.protocol.coverage import TypeCoverage
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.protocol.text import decode_fields
from sanctum_bus.reader.lazy import Sections
from sanctum_bus.reader.models import TORN, BatchLine, DeadLetter, LogLine, Snapshot

#: Entries of a stream: ID and fields.
Entries: TypeAlias = list[tuple[str, dict[bytes, bytes]]]

#: Fields of the checkpoint that a snapshot has under the same names.
_COUNTERS = ("events", "parked", "duplicates", "lost", "lost_ranges", "producers")


def activity(reply: list[Any]) -> dict[str, float]:
    """Return the index of runs: run ID to the time of its last activity, in Unix seconds."""
    # RESP2 alternates members and scores, RESP3 has pairs.
    pairs = reply if reply and isinstance(reply[0], list | tuple) else _pairs(reply)
    return {text_of(name): float(score) / 1000 for name, score in pairs}


def snapshot(run_id: str, reply: list[Any], known_names: frozenset[str]) -> Snapshot | None:
    """Return the snapshot in the reply of the script `read_snapshot`, or None if the run does not exist.

    Args:
        run_id: the run.
        reply: the reply.
        known_names: the names of all sections, if the caller did not ask for them.

    Raises:
        UnknownSchema: a newer version of Sanctum wrote it.
    """
    known, names, _, last_id, seconds, microseconds, is_whole, *flat = reply
    if not known and not last_id:
        return None
    checkpoint = decode_fields(known)
    version = checkpoint.get("version", ZERO)
    now = int(seconds) + int(microseconds) / 1e6
    # Without a generation no worker wrote the snapshot: the run is only locked, or has no checkpoint yet.
    was_written = "generation" in checkpoint
    written_in = schema.check(run_id, checkpoint.get("schema")) if was_written else SCHEMA_VERSION
    raw = {text_of(name): fields for name, fields in _pairs(flat)}
    names_now = known_names if names is None else frozenset(map(text_of, names))
    if is_whole != b"1":
        names_now = _without_deleted(names_now, raw)
    sections = _upgraded(raw, written_in)
    return Snapshot(
        run_id,
        version=version,
        generation=checkpoint.get("generation", 0),
        schema=SCHEMA_VERSION if was_written else 0,
        server_time_s=now,
        age_s=None if version in {ZERO, TORN} else max(0.0, now - stream_id.milliseconds(version) / 1000),
        sections=sections,
        names=names_now,
        changed=frozenset(sections),
        last_id=text_of(last_id),
        owner=str(checkpoint.get("owner", "")),
        **{name: checkpoint[name] for name in _COUNTERS if name in checkpoint},
        closed=frozenset(checkpoint.get("closed", ())),
    )


def _without_deleted(names: frozenset[str], changed: dict[str, Any]) -> frozenset[str]:
    """Remove sections without content from the changed ones, and return the names of all sections that exist."""
    deleted = [name for name, fields in changed.items() if not fields]
    for name in deleted:
        del changed[name]
    return names if not deleted and names.issuperset(changed) else names.difference(deleted).union(changed)


def _upgraded(raw: dict[str, Any], written_in: int) -> Sections:
    """Return sections in the current schema; those that need no upgrade stay encoded."""
    if written_in == SCHEMA_VERSION:
        return Sections(raw)
    decoded = {name: decode_fields(fields) for name, fields in raw.items()}
    return Sections({**schema.upgrade(decoded, written_in)})


def entries(reply: list[tuple[bytes, dict[bytes, bytes]]]) -> Entries:
    """Return entries of a stream, with IDs as text."""
    return [(text_of(entry_id), fields) for entry_id, fields in reply]


def log_lines(found: Entries) -> list[LogLine]:
    """Return entries of the log as lines."""
    return [_log_line(entry_id, _decoded(raw)) for entry_id, raw in found]


def _log_line(entry_id: str, fields: dict[str, Any]) -> LogLine:
    return LogLine(
        id=entry_id,
        type=fields.get("type", ""),
        at=fields.get("at"),
        env_id=fields.get("env_id"),
        slot_id=fields.get("slot_id"),
        blueprint_id=fields.get("blueprint_id"),
        episode=fields.get("episode"),
        message=fields.get("message", ""),
        data=fields.get("data", {}),
        lost=fields.get("lost", 0),
        dropped=fields.get("dropped", 0),
        trimmed=fields.get("trimmed", 0),
    )


def batch_lines(found: Entries) -> list[BatchLine]:
    """Return entries of the batches stream as lines."""
    return [_batch_line(entry_id, _decoded(raw)) for entry_id, raw in found]


def _batch_line(entry_id: str, fields: dict[str, Any]) -> BatchLine:
    at, group = fields.pop("at", None), fields.pop("group_id", "")
    return BatchLine(id=entry_id, at=at, group=group, data=fields)


def dead_letters(found: Entries) -> list[DeadLetter]:
    """Return entries of the dead letter stream as records."""
    return [
        DeadLetter(
            id=entry_id,
            source_id=text_of(letter.get(b"source_id", b"")),
            reason=text_of(letter.get(b"reason", b"")),
            fields={
                name.decode("utf-8", "backslashreplace"): value
                for name, value in dead_letter.raw_of(letter).items()
            },
        )
        for entry_id, letter in found
    ]


def coverage_report(counts: Mapping[bytes, bytes]) -> list[TypeCoverage]:
    """Return the counts of event types and fields, in the order of names."""
    return coverage.report(_decoded(counts))


def text_of(raw: bytes) -> str:
    """Return bytes as text; invalid UTF-8 is replaced."""
    return raw.decode("utf-8", "replace")


def _pairs(flat: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    items = iter(flat)
    return zip(items, items, strict=True)


def _decoded(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    return decode_fields(chain.from_iterable(fields.items()))
