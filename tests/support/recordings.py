"""Recorded telemetry for the tests: its files, its raw lines, and their stream entries.

This module builds the entries without the code under test, so that a mistake in that code shows.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgpack

from tests.support.paths import ROOT

_DATA = ROOT / "tests" / "data"

#: The whole collection, if it is next to the repository.
SHARED = ROOT.parent / "shared" / "recordings"

#: Keys of a line that the event map does not copy.
_NOT_COPIED = frozenset({"event_type", "timestamp"})

Raw = dict[str, Any]
Entry = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded run.

    Args:
        dialect: the emitter: `dec19`, `plan` or `current`.
        stem: the path without `.jsonl.gz`. The old aggregator's states are next to it.
    """

    dialect: str
    name: str
    stem: Path

    @property
    def id(self) -> str:
        """Return the ID in test names."""
        return f"{self.dialect}/{self.name}"

    @property
    def path(self) -> Path:
        """Return the path of the events."""
        return self.stem.with_name(f"{self.stem.name}.jsonl.gz")

    def lines(self) -> list[Raw]:
        """Return the raw events, in order of emission."""
        return list(_lines(self.path))

    def entries(self) -> list[tuple[str, Entry]]:
        """Return the stream entries of the raw events, with IDs counted from `0-1`."""
        return [(f"0-{number}", entry_of(line)) for number, line in enumerate(self.lines(), 1)]

    @property
    def has_old_states(self) -> bool:
        """Return whether the old aggregator's states are available."""
        return any(self.stem.parent.glob(f"{self.stem.name}.*snapshot*"))

    def old_states(self) -> list[tuple[int, Raw]]:
        """Return the old aggregator's states, each with its number of events; for `current`, those of the only group."""
        found = [
            (state["after_events"], state["snapshot"])
            for kind in ("snapshots", "every1.snapshots")
            for path in [self.stem.with_name(f"{self.stem.name}.{kind}.jsonl.gz")]
            if path.exists()
            for state in _lines(path)
        ]
        last = self.stem.with_name(f"{self.stem.name}.snapshot.json.gz")
        if last.exists():
            found.append((len(self.lines()), json.loads(gzip.decompress(last.read_bytes()))))
        return [(after, state.get("default", state)) for after, state in found]


@cache
def recordings() -> tuple[Recording, ...]:
    """Return the recordings of `tests/data`, and the rest of the collection if it is available."""
    own = [Recording(*_dialect_and_name(name), _DATA / name) for name in _stems(_DATA)]
    rest = [
        Recording(folder.name, name, folder / name)
        for folder in sorted(SHARED.iterdir() if SHARED.is_dir() else ())
        if folder.is_dir()
        for name in _stems(folder)
    ]
    unique = {one.id: one for one in own + rest}
    return tuple(unique[key] for key in sorted(unique))


def recording(name: str) -> Recording | None:
    """Return the recording with this ID, or None if it is not available."""
    return next((one for one in recordings() if one.id == name), None)


def entry_of(line: Raw) -> Entry:
    """Return the stream entry of one raw event, as the wire format specifies."""
    event = {key: value for key, value in line.items() if key not in _NOT_COPIED and value is not None}
    event |= {"v": 1, "timestamp": timestamp_of(line)}
    return {b"type": line["event_type"].encode(), b"event": msgpack.packb(event)}


def timestamp_of(line: Raw) -> float:
    """Return the event's time in Unix seconds."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def _lines(path: Path) -> Iterator[Raw]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _stems(folder: Path) -> list[str]:
    names = (path.name for path in folder.glob("*.jsonl.gz") if "snapshots" not in path.name)
    return sorted(name.removesuffix(".jsonl.gz") for name in names)


def _dialect_and_name(stem: str) -> tuple[str, str]:
    dialect, _, name = stem.partition("_")
    return dialect, name
