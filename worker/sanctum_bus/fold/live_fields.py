"""The live fields of a section that has deferred writes.

The fold relies on one rule: while writes to a section are deferred, handlers use only fields that no deferred write
changes. The shape of the data enforces it: handlers get a map that holds the live fields and nothing else.

A plain dict does that at no cost: `[]` raises for any other name. `CheckedFields` also finds a wrong `get`, `in`,
iteration or write. It makes a fold about 5 % slower, so only tests use it (`State.checked`).
"""

from functools import cache, lru_cache
from typing import Any, ClassVar, Never

from sanctum_bus.errors import StaleRead
from sanctum_bus.fold.derived_fields import live_names
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import section_kind


@lru_cache(maxsize=4096)
def readable_names(section: str) -> tuple[str, ...]:
    """Return the live names of a section, without the prefixes: a field under a prefix is only written."""
    return tuple(name for name in live_names(section_kind(section)) if not name.endswith("."))


class CheckedFields(dict[str, Value]):
    """Live fields that raise for every name that is not live.

    Written names are checked when the map is merged into its section. Deleting a field with `del` is not checked.

    Attributes:
        kind: kind of section.
        names: live names and prefixes. A name under a prefix can be written, but not read.
    """

    __slots__ = ()

    kind: ClassVar[str]
    names: ClassVar[frozenset[str]]

    def merge_into(self, fields: Fields) -> None:
        """Write the live fields into the section.

        Raises:
            StaleRead: a name is not live.
        """
        for name in dict.keys(self) - self.names:
            prefix, dot, _ = name.partition(".")
            if prefix + dot not in self.names:
                raise self._not_live(name)
        fields.update(dict.items(self))

    def get(self, name: str, default: Any = None) -> Value:
        """Return a live field, or the default if the section lacks it."""
        return dict.get(self, name, default) if self._check(name) else default

    def __missing__(self, name: str) -> Never:
        self._check(name)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return self._check(name) and dict.__contains__(self, name)

    def _check(self, name: object) -> bool:
        if name not in self.names:
            raise self._not_live(name)
        return True

    def _not_live(self, name: object) -> StaleRead:
        return StaleRead(
            f"field {name!r} of a section of kind {self.kind!r} is not live, and writes to it are deferred"
        )

    def _refuse(self, *_: object) -> Never:
        raise StaleRead(f"a section of kind {self.kind!r} is used as a whole while writes to it are deferred")

    __iter__ = keys = values = items = copy = pop = popitem = setdefault = clear = __or__ = _refuse


def checked_fields(section: str, fields: Fields) -> CheckedFields:
    """Return live fields of a section as checked ones."""
    return _checked_class(section_kind(section))(fields)


@cache
def _checked_class(kind: str) -> type[CheckedFields]:
    return type("CheckedFields", (CheckedFields,), {"__slots__": (), "kind": kind, "names": live_names(kind)})
