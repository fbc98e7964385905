"""Recorded telemetry: JSON lines, plain or gzipped, in any of Nissa's dialects."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sanctum_bus.aggregate import Aggregate, Entry, fold_entries
from sanctum_bus.errors import BadInput
from sanctum_bus.wire import fields as wire
from sanctum_bus.wire.encode import encode_event

_GZIP_MAGIC = b"\x1f\x8b"


class Record(NamedTuple):
    """One line of a recording: an event, or what is wrong with the line.

    Args:
        number: the line's number, from 1.
    """

    number: int
    event: dict[str, Any] | None
    problem: str = ""


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, gzipped or not.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
        with gzip.open(path) if packed else path.open("rb") as lines:
            yield from lines
    except (OSError, EOFError) as error:
        raise BadInput(f"{path}: {error}") from error


def read(path: Path) -> Iterator[Record]:
    """Yield a record for each line of a recording that is not blank.

    Raises:
        BadInput: the file cannot be read.
    """
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield _record(number, line)


def _record(number: int, line: bytes) -> Record:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Record(number, None, f"not JSON: {error}")
    if not isinstance(event, dict):
        return Record(number, None, f"a {type(event).__name__}, not an event")
    if not isinstance(event.get("event_type", event.get("type")), str):
        return Record(number, None, "no `event_type`")
    return Record(number, event)


def entries(records: Iterator[Record]) -> Iterator[tuple[str, Entry]]:
    """Yield the stream entries that publishing the records would make, with ids counted from `0-1`."""
    number = 0
    for record in records:
        if record.event is not None:
            number += 1
            encoded = encode_event(record.event)
            yield f"0-{number}", {b"type": encoded.type.encode(), b"event": encoded.event}
    yield f"0-{number + 1}", {b"type": wire.CLOSED.encode()}


def fold(records: Iterator[Record]) -> Aggregate:
    """Fold a recording without a server, its end included: the same sections as publishing and draining it."""
    return fold_entries(entries(records))
