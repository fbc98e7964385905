"""The recordings that a command reads: files, pipes, or standard input."""

import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

from sanctum_bus.cli.output import complain
from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events import recordings
from sanctum_bus.events.recordings import Record

#: The argument for standard input.
STDIN = "-"

#: Invalid lines to report; further ones are only counted.
_MOST_COMPLAINTS = 10


class Inputs:
    """The records of several files in order. A line that is not an event is reported and skipped.

    Args:
        names: paths, or `-` for standard input.

    Attributes:
        bad: number of lines that were not events.

    Raises:
        InvalidArgument: a file cannot be opened; or no line of all files is an event.
    """

    def __init__(self, names: list[str]) -> None:
        for name in names:
            if name != STDIN:
                recordings.check(Path(name))
        self._names = [(name, "standard input" if name == STDIN else name) for name in names]
        self._good = self.bad = 0

    def __iter__(self) -> Iterator[Record]:
        for name, shown in self._names:
            for record in _records(name, shown):
                if record.event is None:
                    self._complain(shown, record)
                else:
                    self._good += 1
                    yield record
        if self.bad > _MOST_COMPLAINTS:
            complain(
                f"{self.bad:,} lines are not events; {self.bad - _MOST_COMPLAINTS:,} of them are not shown"
            )
        if self.bad and not self._good:
            raise InvalidArgument(
                f"no event in {', '.join(shown for _, shown in self._names)}: each line of a recording must be a JSON object with an `event_type`"
            )

    def _complain(self, shown: str, record: Record) -> None:
        self.bad += 1
        if self.bad <= _MOST_COMPLAINTS:
            complain(f"{shown}:{record.number}: {record.problem}; line skipped")


def lines_in(names: list[str]) -> int | None:
    """Return the number of lines; None if an input can be read only once, or is large."""
    paths = [Path(name) for name in names]
    if not all(name != STDIN and path.is_file() for name, path in zip(names, paths, strict=True)):
        return None
    if sum(path.stat().st_size for path in paths) > 32 << 20:
        return None
    return sum(1 for path in paths for _ in recordings.read(path))


def _records(name: str, shown: str) -> Iterator[Record]:
    if name == STDIN:
        return recordings.read_stream(cast("BufferedReader", sys.stdin.buffer), shown)
    return recordings.read(Path(name))
