"""The counters of a run, as the checkpoint keeps them."""

from dataclasses import dataclass, field

from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.schema import SCHEMA_VERSION

#: Holes that are kept with their ranges; how many events were lost is counted for ever.
MAX_RANGES = 100


#: Producers of which the last `seq` is kept: those seen last.
MAX_PRODUCERS = 1000


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

    @classmethod
    def from_checkpoint(cls, fields: Fields) -> "Counters":
        """Return the counters that a checkpoint holds.

        Args:
            fields: the decoded checkpoint. A missing field has its default; other fields are ignored.
        """
        return cls(
            fields.get("entries", 0),
            fields.get("events", 0),
            fields.get("parked", 0),
            fields.get("duplicates", 0),
            fields.get("lost", {}),
            fields.get("lost_ranges", []),
            fields.get("producers", {}),
            fields.get("closed", []),
            fields.get("marks", []),
        )

    def to_checkpoint(self) -> Fields:
        """Return the counters as fields of the checkpoint, with the schema version first."""
        return {
            "schema": SCHEMA_VERSION,
            "entries": self.entries,
            "events": self.events,
            "parked": self.parked,
            "duplicates": self.duplicates,
            "lost": self.lost,
            "lost_ranges": self.lost_ranges,
            "producers": self.producers,
            "closed": self.closed,
            "marks": self.marks,
        }

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
