"""The state of one run: sections, each a map of fields in the JSON model.

The state is the snapshot and nothing besides: whatever a fold has to remember is a field that a reader can see. What is
kept here beyond the sections (who is whose child, what changed) can be worked out from them.

Values are never changed in place, only replaced: a list that was handed out stays what it was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sanctum_bus.errors import Unfit
from sanctum_bus.wire.values import Value

Fields = dict[str, Value]

#: Limits that keep one producer from exhausting a worker and a server.
MAX_SECTIONS = 65_536
MAX_ENVS = 4_096

#: Entries that a history keeps.
HISTORY = 50


@dataclass(slots=True)
class State:
    """All sections of a run.

    Args:
        sections: name to fields.
        changed: name to the id of the entry that last changed it, since `changed` was last emptied. A name that is not
            in `sections` any more has gone.
        at: the id of the entry that is being folded; the driver sets it.
        writes: how often a section was opened for writing or dropped; tells whether a fold has changed anything.
    """

    sections: dict[str, Fields] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    at: str = ""
    writes: int = 0
    max_envs: int = MAX_ENVS
    _children: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.sections:
            self._children.setdefault(_parent(name), set()).add(name)

    def get(self, name: str) -> Fields | None:
        """Return a section for reading, or None."""
        return self.sections.get(name)

    def edit(self, name: str) -> Fields:
        """Return a section for writing; it is made where there is none.

        Raises:
            Unfit: it would be one section too many.
        """
        fields = self.sections.get(name)
        if fields is None:
            if len(self.sections) >= MAX_SECTIONS:
                raise Unfit(f"section {name} would be one over the limit of {MAX_SECTIONS:,}")
            fields = self.sections[name] = {}
            self._children.setdefault(_parent(name), set()).add(name)
        self.changed[name] = self.at
        self.writes += 1
        return fields

    def replace(self, name: str, fields: Fields) -> Fields:
        """Put a new record in a section's place, so that nothing of the old one remains."""
        old = self.edit(name)
        old.clear()
        old.update(fields)
        return old

    def drop(self, names: Iterable[str]) -> None:
        """Remove sections."""
        for name in list(names):
            if self.sections.pop(name, None) is not None:
                self._children[_parent(name)].discard(name)
                self.changed[name] = self.at
                self.writes += 1

    def children(self, parent: str) -> list[str]:
        """Return the names of the sections `<parent>:<...>`, in no order that a result may depend on."""
        return list(self._children.get(parent, ()))


def _parent(name: str) -> str:
    return name.rpartition(":")[0]


def appended(history: Value, value: Value) -> list[Value]:
    """Return a history with one more value, the last 50 of them."""
    kept = history[1 - HISTORY :] if isinstance(history, list) else []
    return [*kept, value]
