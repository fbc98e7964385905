"""The immutable records that the reader returns."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

from sanctum_bus.protocol import section_names
from sanctum_bus.protocol.entry import FieldsView, Value
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.reader.lazy import Sections

#: The version of a run whose last commit stopped half-way.
TORN = "torn"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run on the server.

    Args:
        run_id: its ID.
        last_activity: time of the last activity, in Unix seconds of the server's clock; None for a stream that is not in
            the index of runs.
    """

    run_id: str
    last_activity: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A consistent state of a run. The snapshots of one `follow` share sections: do not change them.

    Args:
        run_id: ID of the run.
        version: stream ID of the last folded entry; `0-0` if there is none; `torn`: see `is_torn`.
        generation: the fencing token of the run, which grows each time a worker acquires it; 0 if no worker ever did.
        schema: schema version of `sections`, after an upgrade of older ones; 0 if there is no snapshot.
        server_time_s: time of the read, in Unix seconds of the server's clock.
        age_s: seconds from the arrival of the entry `version` to `server_time_s`; None if there is no such entry.
        sections: section name to fields, each section decoded on its first use. In a reply to `since`, only the changed
            sections, otherwise all.
        names: the names of all sections.
        changed: the sections whose contents this snapshot carries. If `follow` merged it, the sections that changed since
            the snapshot before.
        last_id: stream ID of the last entry, folded or not; empty if the stream does not exist.
        owner: ID of the worker that acquired the run last.
        events: number of folded events, over all starts of the run.
        parked: number of dead letters.
        duplicates: number of duplicate entries.
        lost: number of lost events, by reason.
        lost_ranges: the last 100 sequence gaps. Each has a `reason`, the `producer` if it has one, and the numbers or IDs
            before (`after`) and behind (`until`) the gap.
        producers: the last sequence number of each recent producer.
        closed: the producers that published an end-of-stream marker.
    """

    run_id: str
    _: KW_ONLY
    version: str = ZERO
    generation: int = 0
    schema: int = 0
    server_time_s: float = 0.0
    age_s: float | None = None
    sections: Mapping[str, FieldsView] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    last_id: str = ""
    owner: str = ""
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    lost_ranges: Sequence[FieldsView] = ()
    producers: Mapping[str, int] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()

    @property
    def is_torn(self) -> bool:
        """Whether the last commit stopped half-way. Sections may contradict each other until the run is rebuilt."""
        return self.version == TORN

    @property
    def is_current(self) -> bool:
        """Whether every entry of the stream is folded."""
        return not self.is_torn and self.last_id in {"", self.version}

    @property
    def groups(self) -> tuple[str, ...]:
        """The A/B groups in order, spelled as in the names of sections."""
        return section_names.groups(self.names)

    def env_ids(self, group: str = "") -> list[int]:
        """Return the IDs of the environments, in order.

        Args:
            group: an A/B group, spelled as in `groups`; empty: the sections without a group.
        """
        return section_names.env_ids(self.names, group=group)

    def merged_onto(self, older: "Snapshot") -> "Snapshot":
        """Return the complete snapshot that this reply to `since=older` makes.

        Changed sections replace those of `older`, and deleted sections are dropped.

        Args:
            older: the snapshot that was given as `since`.
        """
        own = self.sections
        sections = own if isinstance(own, Sections) else Sections(dict(own))
        return replace(self, sections=sections.merged_onto(older.sections, self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the seed event log.

    Args:
        id: stream ID of the entry that caused the line.
        type: canonical type of the event.
        at: time of the event, in Unix seconds.
        env_id: the environment, as it was published.
        slot_id: the slot, as it was published.
        blueprint_id: the blueprint, as it was published.
        episode: episode of the environment, from 0.
        message: the line in words.
        data: fields of the event under their canonical names.
        lost: events of the same producer that were lost just before this one.
        dropped: those of the lost events that the publisher dropped.
        trimmed: minimum number of entries that were trimmed unread just before this one.
    """

    id: str
    type: str
    at: float | None = None
    env_id: Value = None
    slot_id: Value = None
    blueprint_id: Value = None
    episode: int | None = None
    message: str = ""
    data: FieldsView = field(default_factory=dict)
    lost: int = 0
    dropped: int = 0
    trimmed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """A line of the batches stream: one batch of the curves.

    Args:
        id: stream ID of the entry that ended the batch.
        at: time of the end, in Unix seconds.
        group: its A/B group, or empty.
        data: fields of the event, as they were published.
    """

    id: str
    at: float | None
    group: str
    data: FieldsView


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A stream entry that could not be folded.

    Args:
        id: its ID among the dead letters.
        source_id: its ID in the source stream.
        reason: why it could not be folded.
        fields: its fields, with values as they arrived. Bytes of a name that are not UTF-8 are escaped.
    """

    id: str
    source_id: str
    reason: str
    fields: Mapping[str, bytes]
