"""The arguments of `commit.lua` and `replace_snapshot.lua`: what they write, as one flat list.

`build` is the only writer of this list, and `read_changes` in `shared.lua` is its only reader. Each part begins with its
length. Flat lists are quicker than one MessagePack map: the scripts pass their slices on to Redis without decoding them.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sanctum_bus.fold.changes import Changes, ParkedEntry
from sanctum_bus.protocol import dead_letter
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.text import encode_value
from sanctum_bus.protocol.text_msgspec import encode_fields
from sanctum_bus.worker.settings import Settings

#: Sections of a run whose written fields are kept in memory: those written last.
_MAX_WRITTEN = 4096

#: Distinct tuples of field names that sections share in memory.
_MAX_NAMES = 4096

#: Field names of a section whose tuple is shared. Other sections rarely have the same longer tuple.
_MAX_SHARED = 256

_MISSING = object()


def build(
    changes: Changes,
    checkpoint: Fields,
    settings: Settings,
    written: dict[str, "WrittenSection"] | None = None,
) -> list[Any]:
    """Return the arguments for everything that a commit or a rebuild writes.

    The changes are encoded at once, so the aggregate may be changed while the commit is sent.

    Args:
        changes: what changed; for a rebuild, all there is.
        checkpoint: the counters as fields of the checkpoint.
        settings: the limits of the log, the batches and the dead letters.
        written: sections as the server has them, to write only the difference; it is brought up to date.
    """
    arguments = sections(changes, written)
    arguments += with_length(encode_fields(checkpoint))
    arguments += with_length(encode_fields(changes.coverage))
    arguments += _lines(changes.lines, settings.log_max_lines)
    arguments += _lines(changes.batches, settings.batches_max_lines)
    arguments += with_length(changes.requeued)
    arguments += _dead_letters(changes.parked, settings.dead_letter_max_entries)
    return arguments


def with_length(flat: Sequence[Any]) -> list[Any]:
    """Return a list with its length in front."""
    return [len(flat), *flat]


class WrittenSection(NamedTuple):
    """A section as the server has it, in as little memory as possible."""

    names: tuple[str, ...]
    values: tuple[Value, ...]

    @classmethod
    def of(cls, fields: Fields) -> "WrittenSection":
        """Return the section after these fields are written."""
        names = tuple(fields)
        return cls(_shared(names) if len(names) <= _MAX_SHARED else names, tuple(fields.values()))

    def diff(self, fields: Fields) -> tuple[Fields, list[str]]:
        """Return the fields to write, and the names to delete.

        Values are replaced and never changed in place, so an identical object is an unchanged value.
        """
        if self.names == tuple(fields):
            pairs = zip(fields.items(), self.values, strict=True)
            return {name: value for (name, value), old in pairs if old is not value}, []
        known = dict(zip(self.names, self.values, strict=True))
        new = {name: value for name, value in fields.items() if known.get(name, _MISSING) is not value}
        return new, [*(known.keys() - fields.keys())]


@lru_cache(maxsize=_MAX_NAMES)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return names


def sections(changes: Changes, written: dict[str, WrittenSection] | None) -> list[Any]:
    """Return the sections that changed: name, ID of the change, and what to do; `read_changes` documents it."""
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
            new, removed = old.diff(fields)
            arguments += ("+", *with_length(encode_fields(new)), *with_length(removed))
        if written is not None:
            written[name] = WrittenSection.of(fields)
    while len(known) > _MAX_WRITTEN:
        del known[next(iter(known))]
    return arguments


def _lines(lines: Sequence[tuple[str, Fields]], limit: int) -> list[Any]:
    """Return the last lines of a stream, each as ID and fields; then how many lines the stream keeps."""
    kept = lines[-limit:]
    arguments: list[Any] = [len(kept)]
    for line_id, fields in kept:
        flat = encode_fields(fields)
        arguments += (line_id, len(flat), *flat)
    arguments.append(limit)
    return arguments


def _dead_letters(parked: Sequence[ParkedEntry], limit: int) -> list[Any]:
    """Return the last parked entries as dead letters; then how many dead letters the stream keeps."""
    kept = parked[-limit:]
    arguments: list[Any] = [len(kept)]
    for one in kept:
        arguments += with_length(dead_letter.to_fields(*one))
    arguments.append(limit)
    return arguments


def change_notification(changed: Collection[str], generation: str, version: str) -> str:
    """Return the message to publish after a commit, without the number of followers, which the script adds.

    Args:
        changed: names of the sections that changed; empty: no message.
        generation: of the run.
        version: the new one.
    """
    if not changed:
        return ""
    message = {
        "schema": SCHEMA_VERSION,
        "generation": int(generation),
        "version": version,
        "sections": list(changed),
    }
    return encode_value(message).removesuffix("}") + ',"followers":'
