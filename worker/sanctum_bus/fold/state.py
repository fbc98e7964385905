"""The state of one run: sections, each a map of fields in the JSON model.

The state is the snapshot and nothing besides: whatever a fold has to remember is a field that a reader can see. What is
kept here beyond the sections (who is whose child, what changed) can be worked out from them.

Values are never changed in place, only replaced: a list that was handed out stays what it was.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from sanctum_bus.errors import DeferredWriteFailed, InvalidEntry
from sanctum_bus.protocol.entry import HISTORY, Fields, Value

#: Puts what was left for it into a section: of each key the last, in order; and all items, in order.
Put: TypeAlias = Callable[[Fields, list[Any], list[Any]], None]

#: Limits that keep one producer from exhausting a worker and a server.
MAX_SECTIONS = 65_536
MAX_ENVS = 4_096


class State:
    """All sections of a run.

    Most of what events put into a section is overwritten before anybody looks at it. So an event may be left with the
    section (`leave`): all that were left are put there together, before anybody reads or writes the section.

    Args:
        sections: name to fields.
        max_envs: environments that a run may have.

    Attributes:
        changed: name to the id of the entry that last changed it, since `changed` was last emptied. A name that is not
            in `sections` any more has gone.
        at: the id of the entry that is being folded; the driver sets it.
        at_once: nothing is left for later.
        scopes: group to what the fold calls its scope, kept with the state that it is of.
    """

    __slots__ = ("_children", "_left", "_sections", "at", "changed", "eager", "max_envs", "scopes")

    def __init__(self, sections: dict[str, Fields] | None = None, *, max_envs: int = MAX_ENVS) -> None:
        self._sections: dict[str, Fields] = sections or {}
        self._left: dict[str, dict[Put, tuple[dict[object, Any], list[Any]]]] = {}
        self._children: dict[str, set[str]] = {}
        self.changed: dict[str, str] = {}
        self.at = ""
        self.eager = False
        self.max_envs = max_envs
        self.scopes: dict[str | None, Any] = {}
        for name in self._sections:
            self._children.setdefault(_parent(name), set()).add(name)

    @property
    def sections(self) -> dict[str, Fields]:
        """Every section as it is now."""
        self.settle()
        return self._sections

    def get(self, name: str) -> Fields | None:
        """Return a section for reading, or None."""
        if name in self._left:
            self._settle(name)
        return self._sections.get(name)

    def edit(self, name: str) -> Fields:
        """Return a section for writing; it is made where there is none.

        Raises:
            Unfit: it would be one section too many.
        """
        if name in self._left:
            self._settle(name)
        return self.open(name)

    def peek(self, name: str) -> Fields | None:
        """Return a section as `get` does, without what was left for later: only names that are never left are right."""
        return self._sections.get(name)

    def open(self, name: str) -> Fields:
        """Return a section as `edit` does, without what was left for later: for names that are never left."""
        fields = self._sections.get(name)
        if fields is None:
            fields = self._add(name)
        self.changed[name] = self.at
        return fields

    def leave(self, name: str, put: Put, key: object, last: Any, item: Any = None) -> None:
        """Leave something for a section, which is made where there is none, until somebody looks at it.

        All that was left for the same `put` is put there together, and who was given something last comes last. So a
        field belongs to one `put`, or each puts it there every time.

        Args:
            name: of the section.
            put: is called with the section, what was left last under each key, in order, and the items, in order.
            key: of what is overwritten as a whole by what comes later under the same key.
            last: that.
            item: what is not overwritten.

        Raises:
            Unfit: it would be one section too many.
        """
        if self.eager:
            put(self.open(name), [last], [item])
            return
        left = self._left.get(name)
        if left is None:
            if name not in self._sections:
                self._add(name)
            left = self._left[name] = {}
        waiting = left.pop(put) if put in left else ({}, [])
        left[put] = waiting
        lasts, items = waiting
        lasts.pop(key, None)
        lasts[key] = last
        items.append(item)
        self.changed[name] = self.at

    def has_room_for(self, sections: int) -> bool:
        """Whether so many sections can be added."""
        return len(self._sections) + sections <= MAX_SECTIONS

    def make_sure_of(self, names: Iterable[str]) -> None:
        """Refuse sections of which one would be too many, before anything is written.

        Raises:
            Unfit: it would.
        """
        missing = [name for name in names if name not in self._sections]
        if not self.has_room_for(len(missing)):
            raise _too_many(missing[-1])

    def settle(self) -> None:
        """Put everything that was left where it belongs.

        Raises:
            Unsettled: something has no place there; the state is of no more use.
        """
        for name in list(self._left):
            self._settle(name)

    def replace(self, name: str, fields: Fields) -> Fields:
        """Put a new record in a section's place, so that nothing of the old one remains."""
        self._left.pop(name, None)
        self.open(name)
        self._sections[name] = fields
        return fields

    def drop(self, names: Iterable[str]) -> None:
        """Remove sections."""
        for name in list(names):
            if self._sections.pop(name, None) is not None:
                self._left.pop(name, None)
                self._children[_parent(name)].discard(name)
                self.changed[name] = self.at

    @property
    def touched(self) -> list[str]:
        """The sections that the entry that is being folded has opened for writing or dropped."""
        return [name for name, at in self.changed.items() if at == self.at]

    def children(self, parent: str) -> list[str]:
        """Return the names of the sections `<parent>:<...>`, in no order that a result may depend on."""
        return list(self._children.get(parent, ()))

    def count_children(self, parent: str) -> int:
        """Return how many sections `<parent>:<...>` there are."""
        return len(self._children.get(parent, ()))

    def _add(self, name: str) -> Fields:
        if not self.has_room_for(1):
            raise _too_many(name)
        fields = self._sections[name] = {}
        self._children.setdefault(_parent(name), set()).add(name)
        return fields

    def _settle(self, name: str) -> None:
        fields = self._sections[name]
        try:
            for put, (lasts, items) in self._left.pop(name).items():
                put(fields, [*lasts.values()], items)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise DeferredWriteFailed(
                f"section {name} does not take what was left for it: {error!r:.200}"
            ) from error


def _too_many(name: str) -> InvalidEntry:
    return InvalidEntry(f"section {name} would be one over the limit of {MAX_SECTIONS:,}")


def _parent(name: str) -> str:
    return name.rpartition(":")[0]


def append_history(history: Value, *values: Value) -> list[Value]:
    """Return a history with more values, the last 50 of all."""
    known = history if isinstance(history, list) else []
    return [*known, *values][-HISTORY:]
