"""Recordings as commands are given them: files, pipes, or standard input."""

import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

from sanctum_bus import recordings
from sanctum_bus.cli.output import complain
from sanctum_bus.recordings import Record

#: The name under which commands take standard input.
STDIN = "-"

#: Complaints about lines of one file that are printed; the rest is only counted.
_MOST_COMPLAINTS = 20


class Source:
    """The records of several files, one after another; a line that is no event is reported and left out.

    Args:
        names: paths, or `-` for standard input.

    Attributes:
        bad: lines that were no events.
    """

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self.bad = 0

    def __iter__(self) -> Iterator[Record]:
        for name in self._names:
            yield from self._good(name)

    def _good(self, name: str) -> Iterator[Record]:
        shown = "standard input" if name == STDIN else name
        bad = 0
        for record in _records(name, shown):
            if record.event is not None:
                yield record
                continue
            bad += 1
            self.bad += 1
            if bad <= _MOST_COMPLAINTS:
                complain(f"{shown}:{record.number}: {record.problem}; the line is left out")
        if bad > _MOST_COMPLAINTS:
            complain(f"{shown}: {bad:,} lines are no events, {bad - _MOST_COMPLAINTS:,} of them not shown")


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
