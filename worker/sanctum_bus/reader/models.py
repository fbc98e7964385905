"""What the reader hands out: plain records, each the reader's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sanctum_bus.protocol import section_names
from sanctum_bus.protocol.entry import FieldsView, Value
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.reader.lazy import Sections

#: The version of a run whose last commit died half-way.
TORN = "torn"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run that is on the server.

    Args:
        run_id: its name.
        last_activity: when something last happened to it, in Unix seconds of the server's clock; None for a stream
            that nobody has registered.
    """

    run_id: str
    last_activity: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view of a run. Sections are shared between the views of one `follow`: leave them as they are.

    Args:
        run_id: the run.
        version: id of the last entry that is folded into it; `0-0` where there is none, `torn` see `is_torn`.
        generation: grows whenever a worker takes the run over; 0 where none ever did.
        schema: version of the layout that `sections` have, an older one is brought up to date; 0 where there is none.
        server_time_s: when it was read, in Unix seconds of the server's clock.
        age_s: seconds from the arrival of the version's entry to `server_time_s`; None where there is no such entry.
        sections: name to fields, each section decoded when it is first asked for. In an answer to `since` only those
            that changed, else all.
        names: the names of all sections.
        changed: the names whose contents this answer carries, or, of a view that `follow` put together, those that
            changed since the view before.
        last_id: id of the stream's last entry, read or not; empty where the stream is gone.
        owner: id of the worker that took the run over last.
        events: how many were folded, over all starts of the run.
        parked: how many entries could not be folded.
        duplicates: how many entries were here before.
        lost: how many events never arrived, by reason.
        lost_ranges: where they are missing, the last 100 holes: `reason`, and by `producer` and number or by id what
            came last before the hole (`after`) and what came first behind it (`until`).
        producers: the number of the last event of each producer seen last.
        closed: those of them that said goodbye.
    """

    run_id: str
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
        """Whether the last commit died half-way: sections may contradict each other until the run is folded anew."""
        return self.version == TORN

    @property
    def is_current(self) -> bool:
        """Whether nothing that the stream holds is unread."""
        return not self.is_torn and self.last_id in {"", self.version}

    @property
    def groups(self) -> tuple[str, ...]:
        """The A/B groups, in order, as they are spelled in the names of sections."""
        return section_names.groups(self.names)

    def env_ids(self, group: str = "") -> list[int]:
        """Return the environments, in order."""
        return section_names.env_ids(self.names, group=group)

    def over(self, older: "Snapshot") -> "Snapshot":
        """Return the whole view that an answer to `since=older` makes: changed sections replace, gone ones go."""
        own = self.sections
        sections = own if isinstance(own, Sections) else Sections(dict(own))
        return replace(self, sections=sections.over(older.sections, self.names))


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the seed event log.

    Args:
        id: id of the entry that caused it.
        type: the event's canonical type.
        at: when it was emitted, in Unix seconds.
        env_id: the environment, as it was emitted; likewise the slot and the blueprint.
        episode: the episode that the environment was in, from 0.
        message: the line in words.
        data: the event's fields under their canonical names.
        lost: how many events of the same producer were lost just before it.
        dropped: how many of these the publisher has dropped itself.
        trimmed: how many entries of the stream, at least, were gone just before it, unread.
    """

    id: str
    type: str
    at: float | None
    env_id: Value
    slot_id: Value
    blueprint_id: Value
    episode: int | None
    message: str
    data: FieldsView
    lost: int = 0
    dropped: int = 0
    trimmed: int = 0


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One batch of the curves.

    Args:
        id: id of the entry that ended it.
        at: when it ended, in Unix seconds.
        group: its A/B group, or empty.
        data: the event's fields as they were emitted.
    """

    id: str
    at: float | None
    group: str
    data: FieldsView


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry that could not be folded.

    Args:
        id: its id among the dead.
        source_id: the id that it had in the stream.
        reason: why.
        fields: its fields with their bytes as they came; in a name, bytes that are not UTF-8 are written out.
    """

    id: str
    source_id: str
    reason: str
    fields: Mapping[str, bytes]
