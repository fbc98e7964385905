"""Recordings: one JSON object in each line, plain or compressed, from a file, a pipe or standard input."""

import gzip
import os
from pathlib import Path

import pytest

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events import recordings

LINES = b'{"event_type": "A", "data": {}}\n\n[1]\n{"x": 1}\nno JSON\n{"type": "B"}\n'


@pytest.mark.parametrize("packed", [False, True])
def test_each_line_is_a_record(tmp_path: Path, *, packed: bool) -> None:
    """Each line that is not blank is an event or has the reason why it is none, with the number of the line."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(gzip.compress(LINES) if packed else LINES)

    recordings.check(path)
    records = [*recordings.read(path)]

    assert [record.number for record in records] == [1, 3, 4, 5, 6]
    assert [record.event is not None for record in records] == [True, False, False, False, True]
    reasons = ["", "a list, not an event", "no `event_type`", "not JSON", ""]
    assert all(record.problem.startswith(reason) for record, reason in zip(records, reasons, strict=True))


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that cannot be opened is an error with its path, before anything is read."""
    with pytest.raises(InvalidArgument, match=r"missing\.jsonl cannot be read"):
        recordings.check(tmp_path / "missing.jsonl")


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """The check of a pipe does not wait for its other end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    recordings.check(pipe)


def test_a_truncated_file(tmp_path: Path) -> None:
    """A truncated compressed file is an error with its path, after the complete lines."""
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(os.urandom(1000).hex().encode() + b"\n")[:-20])

    with pytest.raises(InvalidArgument, match=r"run.jsonl.gz cannot be read"):
        list(recordings.read(path))
