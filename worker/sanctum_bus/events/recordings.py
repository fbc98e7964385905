"""Recorded telemetry: JSON lines, plain or gzipped, in any of Nissa's dialects."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple, cast

from sanctum_bus.errors import InvalidArgument

_GZIP_MAGIC = b"\x1f\x8b"


class Record(NamedTuple):
    """One line of a recording: an event, or the problem of the line.

    Args:
        number: number of the line, from 1.
    """

    number: int
    event: dict[str, Any] | None
    problem: str = ""


def check(path: Path) -> None:
    """Check that a recording can be opened. A pipe is not checked: opening it waits for its other end.

    Raises:
        InvalidArgument: the file cannot be opened.
    """
    if not path.is_fifo():
        _opened(path).close()


def read(path: Path) -> Iterator[Record]:
    """Yield a record for each line of a recording that is not blank; the path may be a pipe.

    Raises:
        InvalidArgument: the file cannot be read.
    """
    with _opened(path) as stream:
        yield from read_stream(stream, str(path))


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error}") from error


def read_stream(stream: BufferedReader, name: str) -> Iterator[Record]:
    """Yield the records of a stream that can be read only once, such as standard input.

    Raises:
        InvalidArgument: the stream cannot be read; the message names it `name`.
    """
    try:
        # Only the buffered bytes are checked, because a pipe cannot be rewound.
        packed = stream.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
        lines = cast("Iterable[bytes]", gzip.GzipFile(fileobj=stream) if packed else stream)
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _record(number, line)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidArgument(f"{name} cannot be read: {error}") from error


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
