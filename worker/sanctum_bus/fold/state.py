"""The state of one run: sections, each a map of fields in the JSON model.

The state is the snapshot and nothing else: every value that a fold needs later is a field that readers see.
The
other data of the state (children, changes, deferred writes) follows from the sections.

Values are never changed in place, only replaced. A list that was handed out stays unchanged.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias

from sanctum_bus.errors import DeferredWriteFailed, InvalidEntry
from sanctum_bus.fold.live_fields import CheckedFields, checked_fields, readable_names
from sanctum_bus.protocol.entry import HISTORY, Fields, Value

#: Writes what was deferred into a section: the last value of each key, in order, and all items, in order.
Put: TypeAlias = Callable[[Fields, list[Any], list[Any]], None]

#: The deferred writes of a section by put, each with the last value of each key, and the items.
_Puts: TypeAlias = dict[Put, tuple[dict[object, Any], list[Any]]]

#: Limits that keep one producer from exhausting the memory of a worker and a server.
MAX_SECTIONS = 65_536
MAX_ENVS = 4_096


class State:
    """All sections of a run.

    A later event overwrites most of what an event writes before anything reads it. So an event can be deferred
    (`defer`): all deferred writes to a section happen together, before the section is next read as a whole. Until then
    `live` and `edit_live` give only the fields that no write defers, and any other field raises.

    Args:
        sections: section name -> fields.
        max_envs: limit of the environments in a run.

    Attributes:
        changed: section name -> ID of the entry that last changed it, since the caller last emptied `changed`. A name
            that is not in `sections` was dropped.
        entry_id: ID of the entry that is being folded. The caller sets it.
        eager: nothing is deferred.
        scopes: group -> `groups.Scope`, cached here because a scope refers to its state.
    """

    __slots__ = (
        "_children",
        "_deferred",
        "_live",
        "_sections",
        "changed",
        "eager",
        "entry_id",
        "max_envs",
        "scopes",
    )

    #: Tests set this to check every use of live fields, at the cost of speed.
    checked: ClassVar[bool] = False

    def __init__(self, sections: dict[str, Fields] | None = None, *, max_envs: int = MAX_ENVS) -> None:
        self._sections: dict[str, Fields] = sections or {}
        # The result of `live`: the section itself, or its live fields while it has deferred writes.
        self._live: dict[str, Fields] = dict(self._sections)
        self._deferred: dict[str, tuple[Fields, _Puts]] = {}
        self._children: dict[str, set[str]] = {}
        self.changed: dict[str, str] = {}
        self.entry_id = ""
        self.eager = False
        self.max_envs = max_envs
        self.scopes: dict[str | None, Any] = {}
        for name in self._sections:
            self._children.setdefault(_parent(name), set()).add(name)

    @property
    def sections(self) -> dict[str, Fields]:
        """Every section, after all deferred writes."""
        self.flush()
        return self._sections

    def get(self, name: str) -> Fields | None:
        """Return a section for reading, or None if it does not exist."""
        if name in self._deferred:
            self._flush(name)
        return self._sections.get(name)

    def edit(self, name: str) -> Fields:
        """Return a section for writing. A missing section is created.

        Raises:
            InvalidEntry: the section would exceed the limit.
        """
        if name in self._deferred:
            self._flush(name)
        return self.edit_live(name)

    def live(self, name: str) -> Fields | None:
        """Return a section for reading without its deferred writes, or None if it does not exist.

        While the section has deferred writes, the map holds only its live fields. Reading any other name raises.
        """
        return self._live.get(name)

    def edit_live(self, name: str) -> Fields:
        """Return a section for writing live fields, without its deferred writes. A missing section is created.

        The map is valid until the section is next deferred, edited, replaced or flushed.

        Raises:
            InvalidEntry: the section would exceed the limit.
        """
        fields = self._live.get(name)
        if fields is None:
            fields = self._add(name)
        self.changed[name] = self.entry_id
        return fields

    def defer(self, name: str, put: Put, key: object, last: Any, item: Any = None) -> Fields:
        """Defer a write to a section until the section is next read as a whole. A missing section is created.

        One call of `put` writes all that was deferred for it. Puts run in the order of their last deferral. So each
        field belongs to one put, or every put that has the field writes it each time.

        Args:
            name: name of the section.
            put: is called with the section, the last value of each key, and all items.
            key: a later value with the same key replaces `last`.
            last: the value under `key`.
            item: a value that later deferrals do not replace.

        Returns:
            The live fields of the section, as `edit_live` returns them from now on.

        Raises:
            InvalidEntry: the section would exceed the limit.
        """
        if self.eager:
            fields = self.edit_live(name)
            put(fields, [last], [item])
            return fields
        live, puts = self._deferred.get(name) or self._begin_deferral(name)
        waiting = puts.get(put)
        if waiting is None:
            waiting = puts[put] = ({}, [])
        elif len(puts) > 1:
            puts[put] = puts.pop(put)
        lasts, items = waiting
        if len(lasts) > 1:
            lasts.pop(key, None)
        lasts[key] = last
        items.append(item)
        self.changed[name] = self.entry_id
        return live

    def can_add(self, sections: int) -> bool:
        """Return whether this number of sections can be added."""
        return len(self._sections) + sections <= MAX_SECTIONS

    def reserve(self, names: Iterable[str]) -> None:
        """Check that all missing sections among the names can be added. Handlers call this before they write.

        Raises:
            InvalidEntry: one would exceed the limit.
        """
        missing = [name for name in names if name not in self._sections]
        if not self.can_add(len(missing)):
            raise _too_many(missing[-1])

    def flush(self) -> None:
        """Execute all deferred writes.

        Raises:
            DeferredWriteFailed: a write does not fit its section. The state is invalid.
        """
        for name in list(self._deferred):
            self._flush(name)

    def replace(self, name: str, fields: Fields) -> Fields:
        """Replace a section by a new record, so that no field of the old one remains."""
        self._deferred.pop(name, None)
        self.edit_live(name)
        self._sections[name] = self._live[name] = fields
        return fields

    def drop(self, names: Iterable[str]) -> None:
        """Remove sections."""
        for name in list(names):
            if self._sections.pop(name, None) is not None:
                self._deferred.pop(name, None)
                del self._live[name]
                self._children[_parent(name)].discard(name)
                self.changed[name] = self.entry_id

    @property
    def touched(self) -> list[str]:
        """Names of the sections that the current entry has changed or dropped."""
        return [name for name, entry_id in self.changed.items() if entry_id == self.entry_id]

    def children(self, parent: str) -> list[str]:
        """Return the names of the sections `<parent>:<...>`. No result may depend on their order."""
        return list(self._children.get(parent, ()))

    def count_children(self, parent: str) -> int:
        """Return the number of sections `<parent>:<...>`."""
        return len(self._children.get(parent, ()))

    def _add(self, name: str) -> Fields:
        if not self.can_add(1):
            raise _too_many(name)
        fields = self._sections[name] = self._live[name] = {}
        self._children.setdefault(_parent(name), set()).add(name)
        return fields

    def _begin_deferral(self, name: str) -> tuple[Fields, _Puts]:
        fields = self._sections.get(name)
        if fields is None:
            fields = self._add(name)
        live = {one: fields[one] for one in readable_names(name) if one in fields}
        if self.checked:
            live = checked_fields(name, live)
        self._live[name] = live
        begun = self._deferred[name] = (live, {})
        return begun

    def _flush(self, name: str) -> None:
        fields, (live, puts) = self._sections[name], self._deferred.pop(name)
        if isinstance(live, CheckedFields):
            live.merge_into(fields)
        else:
            fields.update(live)
        self._live[name] = fields
        try:
            for put, (lasts, items) in puts.items():
                put(fields, [*lasts.values()], items)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise DeferredWriteFailed(
                f"section {name} does not fit its deferred writes: {error!r:.200}"
            ) from error


def _too_many(name: str) -> InvalidEntry:
    return InvalidEntry(f"section {name} would exceed the limit of {MAX_SECTIONS:,} sections")


def _parent(name: str) -> str:
    return name.rpartition(":")[0]


def append_history(history: Value, *values: Value) -> list[Value]:
    """Return a history with more values: the last 50 of all. A history that is not a list counts as empty."""
    known = history if isinstance(history, list) else []
    return [*known, *values][-HISTORY:]
