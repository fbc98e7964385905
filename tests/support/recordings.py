"""Recorded telemetry for the tests: where it is, its raw lines, and the stream entries that they would have been.

The entries are built here and not by the code under test: what both get wrong in the same way would stay hidden.
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

#: The whole collection, where it lies beside the repository.
SHARED = ROOT.parent / "shared" / "recordings"

#: The keys of a line that are part of the entry, and the keys that the event map converts.
_NOT_COPIED = frozenset({"event_type", "timestamp"})

Raw = dict[str, Any]
Entry = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded run.

    Args:
        dialect: which emitter wrote it: `dec19`, `plan` or `current`.
        stem: the path without `.jsonl.gz`; the old aggregator's states lie beside it.
    """

    dialect: str
    name: str
    stem: Path

    @property
    def id(self) -> str:
        """The name of the recording in test IDs."""
        return f"{self.dialect}/{self.name}"

    @property
    def path(self) -> Path:
        """The events."""
        return self.stem.with_name(f"{self.stem.name}.jsonl.gz")

    def lines(self) -> list[Raw]:
        """The raw events, in order of emission."""
        return list(_lines(self.path))

    def entries(self) -> list[tuple[str, Entry]]:
        """The stream entries of the raw events, with ids counted from `0-1`."""
        return [(f"0-{number}", entry_of(line)) for number, line in enumerate(self.lines(), 1)]

    @property
    def has_old_states(self) -> bool:
        """Whether the old aggregator's states lie beside the events."""
        return any(self.stem.parent.glob(f"{self.stem.name}.*snapshot*"))

    def old_states(self) -> list[tuple[int, Raw]]:
        """The old aggregator's states, each after how many events; of today's dialect the one of its only group."""
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
    """Every recording there is: those of `tests/data`, and the rest of the collection where it is at hand."""
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
    """The recording with this id, or None where it is not at hand."""
    return next((one for one in recordings() if one.id == name), None)


def entry_of(line: Raw) -> Entry:
    """The stream entry of one raw event, as the wire is specified."""
    event = {key: value for key, value in line.items() if key not in _NOT_COPIED and value is not None}
    event |= {"v": 1, "timestamp": timestamp_of(line)}
    return {b"type": line["event_type"].encode(), b"event": msgpack.packb(event)}


def timestamp_of(line: Raw) -> float:
    """The event's time in Unix seconds."""
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
