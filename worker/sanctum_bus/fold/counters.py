"""The counters of a run, and their form in the checkpoint."""

from dataclasses import dataclass, field

from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.schema import SCHEMA_VERSION

#: Lost ranges that the checkpoint keeps. The number of lost events is exact without limit.
MAX_RANGES = 100

#: Producers whose last `seq` the checkpoint keeps: the most recently seen ones.
MAX_PRODUCERS = 1000


@dataclass(slots=True)
class Counters:
    """The counters of a checkpoint.

    Args:
        entries: stream entries applied, whatever their result.
        events: events folded.
        parked: entries parked.
        duplicates: entries skipped because they were folded before.
        lost: events that never arrived, by reason.
        lost_ranges: the last 100 ranges of lost events: by producer and `seq`, or by ID if the stream was trimmed
            before the entries were read.
        producers: last `seq` by producer. The producer seen last is at the end.
        closed: producers that sent an end-of-stream marker.
        trim_points: some versions of the stream, each with the number of entries applied by then. Trimming uses them.
    """

    entries: int = 0
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    lost_ranges: list[Fields] = field(default_factory=list)
    producers: dict[str, int] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    trim_points: list[tuple[int, str]] = field(default_factory=list)

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
            "marks": self.trim_points,
        }

    def keep_range(self, lost: Fields) -> None:
        """Keep a range of lost events."""
        self.lost_ranges = [*self.lost_ranges, lost][-MAX_RANGES:]

    def knows_range(self, trimmed: Fields) -> bool:
        """Return whether a trimmed range is kept already, with at least as many entries."""
        return any(
            all(trimmed[name] == known[name] for name in ("reason", "until"))
            and trimmed["entries"] <= known["entries"]
            for known in self.lost_ranges
        )
