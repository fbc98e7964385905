"""What is counted of a run, and what one commit has to write of it."""

from dataclasses import dataclass
from typing import NamedTuple

from sanctum_bus.protocol.entry import Entry, Fields


class Parked(NamedTuple):
    """An entry that could not be folded."""

    entry_id: str
    reason: str
    entry: Entry


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
