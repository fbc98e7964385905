"""What scripts are told: state, counters, lines and parked entries as flat lists, each with its length in front."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgpack

from sanctum_bus._version import SCHEMA_VERSION
from sanctum_bus.accounts import Changes, Counters, Parked
from sanctum_bus.hashes import encode_fields
from sanctum_bus.snapshot import encode_value
from sanctum_bus.state import Fields
from sanctum_bus.wire.values import Value

#: Raw fields of a parked entry that are laid out one by one; one that has more is kept as one MessagePack map.
_MAX_RAW_FIELDS = 1000

#: Sections of a run of which is kept how the server has them: those written last.
_MOST_WRITTEN = 4096

#: Distinct lists of names that are shared by the sections that have them.
_MOST_NAMES = 4096

#: Names of a section that are shared with others of the same names: longer lists are rarely anybody else's.
_MOST_SHARED = 256

_NOWHERE = object()

#: Stands before the name of a parked entry's own field.
_RAW = b"raw."


def counted(flat: Sequence[Any]) -> list[Any]:
    """Return a list with its length in front."""
    return [len(flat), *flat]


class Written(NamedTuple):
    """A section as the server has it, kept as small as can be."""

    names: tuple[str, ...]
    values: tuple[Value, ...]

    @classmethod
    def of(cls, fields: Fields) -> "Written":
        """Return what is written when these fields are."""
        names = tuple(fields)
        return cls(_shared(names) if len(names) <= _MOST_SHARED else names, tuple(fields.values()))

    def differ(self, fields: Fields) -> tuple[Fields, list[str]]:
        """Return the fields that are to be written, and the names that go.

        Values are replaced and never changed in place: what is the same object is the same.
        """
        if self.names == tuple(fields):
            pairs = zip(fields.items(), self.values, strict=True)
            return {name: value for (name, value), old in pairs if old is not value}, []
        known = dict(zip(self.names, self.values, strict=True))
        fresh = {name: value for name, value in fields.items() if known.get(name, _NOWHERE) is not value}
        return fresh, [*(known.keys() - fields.keys())]


@lru_cache(maxsize=_MOST_NAMES)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


def sections(changes: Changes, written: dict[str, Written] | None = None) -> list[Any]:
    """Return the sections that changed: name, id of the change, and what is to be done with it.

    `-`: it has gone. `=` and its fields: it is written as a whole. `+`, fields and names: these fields are written, the
    names go, and the rest stays.

    Args:
        changes: what changed.
        written: sections as the server has them, to write only what differs; it is brought up to date.
    """
    arguments: list[Any] = [len(changes.sections)]
    known = {} if written is None else written
    for name, fields in changes.sections.items():
        old = known.pop(name, None)
        arguments += (name, changes.index[name])
        if fields is None:
            arguments.append("-")
            continue
        if old is None:
            arguments += ("=", *counted(encode_fields(fields)))
        else:
            fresh, gone = old.differ(fields)
            arguments += ("+", *counted(encode_fields(fresh)), *counted(gone))
        if written is not None:
            written[name] = Written.of(fields)
    while len(known) > _MOST_WRITTEN:
        del known[next(iter(known))]
    return arguments


def lines(given: Sequence[tuple[str, Fields]], cap: int) -> list[Any]:
    """Return the last lines of a stream: id and fields; then how many the stream keeps."""
    kept = given[-cap:]
    arguments: list[Any] = [len(kept)]
    for line_id, fields in kept:
        flat = encode_fields(fields)
        arguments += (line_id, len(flat), *flat)
    return [*arguments, cap]


def parked(given: Sequence[Parked], cap: int) -> list[Any]:
    """Return the last parked entries as they are laid out among the dead letters."""
    kept = given[-cap:]
    arguments: list[Any] = [len(kept)]
    for entry_id, reason, entry in kept:
        flat: list[Any] = ["source_id", entry_id, "reason", reason]
        if len(entry) > _MAX_RAW_FIELDS:
            flat += ("raw", msgpack.packb(dict(entry)))
        else:
            for name, value in entry.items():
                flat += (_RAW + name, value)
        arguments += counted(flat)
    return arguments


def raw_of(letter: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the entry that a dead letter holds: what `parked` laid out."""
    packed = letter.get(b"raw")
    if packed is not None:
        return dict(msgpack.unpackb(packed))
    return {name.removeprefix(_RAW): value for name, value in letter.items() if name.startswith(_RAW)}


def checkpoint(counters: Counters) -> Fields:
    """Return the counters as the checkpoint has them."""
    return {
        "schema": SCHEMA_VERSION,
        "entries": counters.entries,
        "events": counters.events,
        "parked": counters.parked,
        "duplicates": counters.duplicates,
        "lost": counters.lost,
        "lost_ranges": counters.lost_ranges,
        "producers": counters.producers,
        "closed": counters.closed,
        "marks": counters.marks,
    }


def hint(changed: Collection[str], generation: str, version: str) -> str:
    """Return what is published after a commit, nothing where nothing changed; the script completes it."""
    if not changed:
        return ""
    said = {
        "schema": SCHEMA_VERSION,
        "generation": int(generation),
        "version": version,
        "sections": list(changed),
    }
    return encode_value(said).removesuffix("}") + ',"followers":'
