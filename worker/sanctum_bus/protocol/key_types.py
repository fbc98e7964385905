"""Keys of the wrong type: which they are, and how to repair each. No I/O."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sanctum_bus.errors import Unavailable
from sanctum_bus.protocol.key_table import TABLE, KeyRow
from sanctum_bus.protocol.keys import DEFAULT_PREFIX, RunKeys

#: The server's name of each type in the key table.
_SERVER_TYPES = {"hash": "hash", "stream": "stream", "sorted set": "zset"}

_SECTION = KeyRow("", "hash", "owner", "a section of any name")


class WrongType(NamedTuple):
    """One key of the wrong type.

    Args:
        found: its type, as the server names it.
        wanted: the right type, as the key table names it.
        remedy: how to repair it.
    """

    key: str
    found: str
    wanted: str
    remedy: str

    @property
    def seen(self) -> str:
        """Return a description of the key and its type."""
        return f"{self.key} has type {self.found}, expected {self.wanted}"

    def __str__(self) -> str:
        return f"{self.seen}; {self.remedy}"


def fixed_rows(prefix: str = DEFAULT_PREFIX, run_id: str | None = None) -> dict[str, KeyRow]:
    """Return the rows of the keys with fixed names: those of a run, or without a run the shared ones."""
    of_runs = "{p}:{{R}}:"
    return {
        # The table spells the run literally, as the documentation shows it.
        row.name.format(p=prefix).replace("{R}", f"{{{run_id}}}"): row
        for row in TABLE
        if row.redis_type in _SERVER_TYPES
        and "<" not in row.name
        and row.name.startswith(of_runs) is (run_id is not None)
    }


def is_wrong_type(error: Exception) -> bool:
    """Return whether an error is about a key of the wrong type."""
    # In a pipeline, redis-py puts the command before the error.
    return str(error).rpartition("caused error: ")[2].startswith("WRONGTYPE")


def answered(run: RunKeys, reply: Sequence[bytes]) -> list[WrongType]:
    """Return the keys of a run that have the wrong type.

    Args:
        run: the run.
        reply: the reply of the script `key_types`: keys and types alternating.
    """
    texts = [item.decode("utf-8", "replace") for item in reply]
    rows = fixed_rows(run.prefix, run.run_id)
    types = dict(zip(texts[::2], texts[1::2], strict=True))
    types.pop(run.none, None)
    return _wrong({key: rows.get(key, _SECTION) for key in types}, types, run)


def shared(prefix: str, types: Mapping[str, bytes | str]) -> list[WrongType]:
    """Return the shared keys that have the wrong type.

    Args:
        prefix: the key prefix.
        types: key -> type, as the server names it.
    """
    rows = fixed_rows(prefix)
    found = {key: kind if isinstance(kind, str) else kind.decode() for key, kind in types.items()}
    return _wrong({key: rows[key] for key in found}, found)


def _wrong(
    rows: Mapping[str, KeyRow], types: Mapping[str, str], run: RunKeys | None = None
) -> list[WrongType]:
    return [
        WrongType(key, types[key], row.redis_type, _remedy(key, row, run))
        for key, row in rows.items()
        if types[key] not in {"none", _SERVER_TYPES[row.redis_type]}
    ]


def _remedy(key: str, row: KeyRow, run: RunKeys | None) -> str:
    if run is not None and row.written_by == "owner" and key != run.checkpoint:
        return f"run 'sanctum rebuild {run.run_id}' to recreate it from the stream"
    return f"rename or delete it: {row.written_by} recreate it"


def refusal(what: str, wrong: Sequence[WrongType]) -> Unavailable:
    """Return the error for something that cannot be read because keys have the wrong type.

    Args:
        what: the thing that cannot be read.
        wrong: the keys; empty if they were repaired meanwhile.
    """
    if not wrong:
        return Unavailable(
            f"{what} could not be read: a key had the wrong type, but it was repaired meanwhile; try again"
        )
    more = f"; {len(wrong) - 1:,} more keys have the wrong type: sanctum doctor" if wrong[1:] else ""
    return Unavailable(f"{what} cannot be read: {wrong[0]}{more}")
