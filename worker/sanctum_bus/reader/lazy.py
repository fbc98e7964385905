"""Sections of a view, as the server sent them until somebody looks: a view of hundreds costs what is looked at."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sanctum_bus.protocol.entry import FieldsView
from sanctum_bus.protocol.text import decode_fields


class Sections(Mapping[str, FieldsView]):
    """Name to fields; each section is decoded when it is first asked for. `dict(...)` decodes them all.

    Args:
        held: name to fields, or to names and texts in turn as HGETALL gives them.
    """

    __slots__ = ("_held",)

    def __init__(self, held: dict[str, FieldsView | list[bytes]]) -> None:
        self._held = held

    def __getitem__(self, name: str) -> FieldsView:
        fields = self._held[name]
        if isinstance(fields, list):
            fields = self._held[name] = decode_fields(fields)
        return fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __repr__(self) -> str:
        return repr(dict(self))

    def over(self, older: Mapping[str, FieldsView], names: Iterable[str]) -> "Sections":
        """Return sections of these names: those that are here, else the older ones; nothing is decoded for it."""
        before: Mapping[str, Any] = older._held if isinstance(older, Sections) else older  # noqa: SLF001  # of its kind
        own = self._held
        return Sections({name: own[name] if name in own else before[name] for name in names})
