"""Sections that are decoded on first use, so that a snapshot of hundreds costs only what the caller reads."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sanctum_bus.protocol.entry import FieldsView
from sanctum_bus.protocol.text import decode_fields


class Sections(Mapping[str, FieldsView]):
    """Section name to fields. Each section is decoded on its first use; `dict(...)` decodes all.

    Args:
        raw: name to fields, or to names and texts alternating, as HGETALL returns them.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[str, FieldsView | list[bytes]]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> FieldsView:
        fields = self._raw[name]
        if isinstance(fields, list):
            fields = self._raw[name] = decode_fields(fields)
        return fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __repr__(self) -> str:
        return repr(dict(self))

    def merged_onto(self, older: Mapping[str, FieldsView], names: Iterable[str]) -> "Sections":
        """Return these sections, completed with older ones. No section is decoded.

        Args:
            older: the sections of an older snapshot.
            names: the sections that the result has.
        """
        before: Mapping[str, Any] = older._raw if isinstance(older, Sections) else older  # noqa: SLF001  # same class
        own = self._raw
        return Sections({name: own[name] if name in own else before[name] for name in names})
