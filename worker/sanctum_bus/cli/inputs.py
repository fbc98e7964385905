"""Recordings as commands are given them: files, pipes, or standard input."""

import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

from sanctum_bus.cli.output import complain
from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events import recordings
from sanctum_bus.events.recordings import Record

#: The name under which commands take standard input.
STDIN = "-"

#: Complaints about lines that are printed; the rest is only counted.
_MOST_COMPLAINTS = 10


class Inputs:
    """The records of several files, one after another; a line that is no event is reported and left out.

    Args:
        names: paths, or `-` for standard input.

    Attributes:
        bad: lines that were no events.

    Raises:
        BadInput: a file cannot be opened; or, once all are read, none of their lines was an event.
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
            complain(f"{self.bad:,} lines are no events, {self.bad - _MOST_COMPLAINTS:,} of them not shown")
        if self.bad and not self._good:
            raise InvalidArgument(
                f"there is no event in {', '.join(shown for _, shown in self._names)}: "
                "each line of a recording is a JSON object with an `event_type`"
            )

    def _complain(self, shown: str, record: Record) -> None:
        self.bad += 1
        if self.bad <= _MOST_COMPLAINTS:
            complain(f"{shown}:{record.number}: {record.problem}; the line is left out")


def lines_in(names: list[str]) -> int | None:
    """Return how many lines files have; None where there is one that can be read only once, or that is large."""
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
