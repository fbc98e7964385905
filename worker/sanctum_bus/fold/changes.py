"""The changes of one commit."""

from dataclasses import dataclass
from typing import NamedTuple

from sanctum_bus.protocol.entry import Entry, Fields


class ParkedEntry(NamedTuple):
    """An entry that could not be folded. A commit writes it to the dead letters."""

    entry_id: str
    reason: str
    entry: Entry


@dataclass(slots=True)
class Changes:
    """The writes of one commit.

    Args:
        version: ID of the last entry applied.
        sections: section name -> current fields, or None if the section was dropped.
        index: section name -> ID of the entry that last changed it.
        lines: lines of the seed event log, each with its ID.
        batches: lines of the batches stream, each with its ID.
        parked: entries that could not be folded, without those requeued since.
        coverage: current values of the counts that changed.
        requeued: IDs of dead letters that later entries replace. The commit deletes these dead letters.
    """

    version: str
    sections: dict[str, Fields | None]
    index: dict[str, str]
    lines: list[tuple[str, Fields]]
    batches: list[tuple[str, Fields]]
    parked: list[ParkedEntry]
    coverage: dict[str, int]
    requeued: list[str]
