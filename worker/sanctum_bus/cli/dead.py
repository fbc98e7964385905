"""`dead`: the entries that could not be folded, with their bytes and the reason."""

from collections.abc import Iterator
from typing import Any

import msgpack

from sanctum_bus.cli.output import complain, print_json, show, table
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.events.normalize import normalize
from sanctum_bus.reader import DeadLetter, Reader
from sanctum_bus.views.format import printable

#: Entries that one page brings.
_PAGE = 200

#: Characters of an entry's contents that are shown; all of it is in the JSON.
_MOST_CHARS = 400


def dead(place: ServerTarget, run_id: str, *, as_json: bool) -> None:
    """Print a run's parked entries, the oldest first."""
    with place.reader() as reader:
        if as_json:
            for entry in _entries(reader, run_id):
                print_json(_as_json(entry))
            return
        found = list(_entries(reader, run_id))
        parked = reader.snapshot(run_id).parked
    if found:
        rows = [
            (entry.source_id or entry.id, entry.reason, _type(entry), _contents(entry)) for entry in found
        ]
        show(table(("entry", "reason", "type", "contents"), rows))
    if not parked:
        complain(f"run {run_id} has no parked entries")
    elif len(found) < parked:
        complain(f"{len(found):,} parked entries are kept of {parked:,} that there were in run {run_id}")


def _entries(reader: Reader, run_id: str) -> Iterator[DeadLetter]:
    after = "0-0"
    while page := reader.dead(run_id, after=after, count=_PAGE):
        yield from page
        after = page[-1].id


def _as_json(entry: DeadLetter) -> dict[str, Any]:
    fields = {name: _text_or_bytes(value) for name, value in entry.fields.items()}
    return {"id": entry.id, "source_id": entry.source_id, "reason": entry.reason, "fields": fields}


def _text_or_bytes(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return normalize(value)


def _type(entry: DeadLetter) -> str:
    return printable(entry.fields.get("type", b"").decode("utf-8", "replace"), 60)


def _contents(entry: DeadLetter) -> str:
    """Return what an entry holds, as far as it can be read."""
    packed = entry.fields.get("event")
    if packed is not None:
        try:
            return printable(msgpack.unpackb(packed, strict_map_key=False), _MOST_CHARS)
        except Exception:  # noqa: BLE001  # it is parked because something is wrong with it
            return printable(packed, _MOST_CHARS)
    shown = (f"{name}={value.decode('utf-8', 'backslashreplace')}" for name, value in entry.fields.items())
    return printable(" ".join(shown), _MOST_CHARS)
