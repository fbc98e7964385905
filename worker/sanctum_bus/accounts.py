"""What is counted of a run, and what one commit has to write of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from sanctum_bus.state import Fields

#: Holes that are kept with their ranges; how many events were lost is counted for ever.
MAX_RANGES = 100

#: Producers of which the last `seq` is kept: those seen last.
MAX_PRODUCERS = 1000

Entry: TypeAlias = Mapping[bytes, bytes]

#: An entry as the server gives it: names and values in turn.
Flat: TypeAlias = list[bytes]

#: What a read brings: ids and entries.
Entries: TypeAlias = list[tuple[bytes, Flat]]


def entry_of(flat: Flat) -> Entry:
    """Return an entry by the names of its fields."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Parked(NamedTuple):
    """An entry that could not be folded."""

    entry_id: str
    reason: str
    entry: Entry


@dataclass(slots=True)
class Counters:
    """What a checkpoint counts.

    Args:
        entries: stream entries taken in, whatever became of them.
        events: events folded.
        parked: entries parked.
        duplicates: entries skipped because they had been folded before.
        lost: events that never arrived, by reason.
        lost_ranges: where they are missing, the last 100 holes: by producer and `seq`, or by id where the stream was
            trimmed before it was read.
        producers: last `seq` by producer, the producer seen last at the end.
        closed: producers that said goodbye.
        marks: some versions of the stream, each with how many entries had been taken in by then, to trim at.
    """

    entries: int = 0
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    lost_ranges: list[Fields] = field(default_factory=list)
    producers: dict[str, int] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    marks: list[tuple[int, str]] = field(default_factory=list)

    def keep_range(self, hole: Fields) -> None:
        """Keep where something is missing."""
        self.lost_ranges = [*self.lost_ranges, hole][-MAX_RANGES:]

    def tells_of(self, hole: Fields) -> bool:
        """Whether a range that was trimmed is known already, with as many entries."""
        return any(
            all(hole[name] == told[name] for name in ("reason", "until"))
            and hole["entries"] <= told["entries"]
            for told in self.lost_ranges
        )


@dataclass(slots=True)
class Changes:
    """What one commit has to write.

    Args:
        sections: name to the section as it is now, or None where it has gone.
        index: name to the id of the entry that last changed it.
        lines: lines of the seed event log, each with its id.
        batches: lines of the batches stream, each with its id.
        parked: entries that could not be folded, and were not put back since.
        coverage: counts that changed, as they are now.
        put_back: ids of parked entries that another entry stands for: they are dead letters no more.
    """

    version: str
    sections: dict[str, Fields | None]
    index: dict[str, str]
    lines: list[tuple[str, Fields]]
    batches: list[tuple[str, Fields]]
    parked: list[Parked]
    coverage: dict[str, int]
    put_back: list[str]
