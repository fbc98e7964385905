"""What scripts are told: state, counters, lines and parked entries as flat lists, each with its length in front."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sanctum_bus.fold.changes import Changes, Parked
from sanctum_bus.fold.counters import Counters
from sanctum_bus.protocol import dead_letter
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.text import encode_value
from sanctum_bus.protocol.text_msgspec import encode_fields

#: Sections of a run of which is kept how the server has them: those written last.
_MOST_WRITTEN = 4096

#: Distinct lists of names that are shared by the sections that have them.
_MOST_NAMES = 4096

#: Names of a section that are shared with others of the same names: longer lists are rarely anybody else's.
_MOST_SHARED = 256

_NOWHERE = object()


def with_length(flat: Sequence[Any]) -> list[Any]:
    """Return a list with its length in front."""
    return [len(flat), *flat]


class WrittenSection(NamedTuple):
    """A section as the server has it, kept as small as can be."""

    names: tuple[str, ...]
    values: tuple[Value, ...]

    @classmethod
    def of(cls, fields: Fields) -> "WrittenSection":
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


def sections(changes: Changes, written: dict[str, WrittenSection] | None = None) -> list[Any]:
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
            arguments += ("=", *with_length(encode_fields(fields)))
        else:
            fresh, gone = old.differ(fields)
            arguments += ("+", *with_length(encode_fields(fresh)), *with_length(gone))
        if written is not None:
            written[name] = WrittenSection.of(fields)
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


def parked(given: Sequence[Parked], cap: int) -> list[Any]:
    """Return the last parked entries as they are laid out among the dead letters."""
    kept = given[-cap:]
    arguments: list[Any] = [len(kept)]
    for letter in kept:
        arguments += with_length(dead_letter.to_fields(*letter))
    return arguments
