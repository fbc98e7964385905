"""The layout of a dead letter: a stream entry that could not be folded, with its reason and its source ID."""

from collections.abc import Mapping
from typing import Any

import msgpack

from sanctum_bus.protocol.entry import Entry

#: Raw fields of an entry that are stored one by one; an entry with more is stored as one MessagePack map.
_MAX_RAW_FIELDS = 1000

#: Prefix of the entry's own fields.
_RAW = b"raw."


def to_fields(entry_id: str, reason: str, entry: Entry) -> list[Any]:
    """Return the fields of a dead letter as names and values alternating.

    Args:
        entry_id: stream ID of the entry.
        reason: why it could not be folded.
        entry: its fields.
    """
    flat: list[Any] = ["source_id", entry_id, "reason", reason]
    if len(entry) > _MAX_RAW_FIELDS:
        return [*flat, "raw", msgpack.packb(dict(entry))]
    for name, value in entry.items():
        flat += (_RAW + name, value)
    return flat


def raw_of(letter: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the entry inside a dead letter."""
    packed = letter.get(b"raw")
    if packed is not None:
        return dict(msgpack.unpackb(packed))
    return {name.removeprefix(_RAW): value for name, value in letter.items() if name.startswith(_RAW)}
