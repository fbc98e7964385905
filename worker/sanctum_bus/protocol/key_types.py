"""Keys that have another type than they should: which, and what to do about each. Nothing here does I/O."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sanctum_bus.errors import Unavailable
from sanctum_bus.protocol.keys import DEFAULT_PREFIX, TABLE, KeyRow, RunKeys
from sanctum_bus.protocol.scripts import script

#: What a server calls the types of the table of keys.
_SERVER_TYPES = {"hash": "hash", "stream": "stream", "sorted set": "zset"}

_SECTION = KeyRow("", "hash", "owner", "a section of any name")


class WrongType(NamedTuple):
    """One key that has another type than it should.

    Args:
        found: the type that it has, as the server says it.
        wanted: the type that it should have, as the table of keys says it.
        remedy: what to do.
    """

    key: str
    found: str
    wanted: str
    remedy: str

    @property
    def seen(self) -> str:
        """What was found, in words."""
        return f"{self.key} is a {self.found} and no {self.wanted}"

    def __str__(self) -> str:
        return f"{self.seen}; {self.remedy}"


def fixed_rows(prefix: str = DEFAULT_PREFIX, run_id: str | None = None) -> dict[str, KeyRow]:
    """Return the rows of those keys whose names are fixed: of one run, or of no run where none is named."""
    of_runs = "{p}:{{R}}:"
    return {
        # The run's name is literal in the table, as documents show it.
        row.name.format(p=prefix).replace("{R}", f"{{{run_id}}}"): row
        for row in TABLE
        if row.redis_type in _SERVER_TYPES
        and "<" not in row.name
        and row.name.startswith(of_runs) is (run_id is not None)
    }


def is_wrong_type(error: Exception) -> bool:
    """Whether a server refuses a command for the type of a key."""
    # Of a command in a pipeline redis-py says first which it was.
    return str(error).rpartition("caused error: ")[2].startswith("WRONGTYPE")


def question(run: RunKeys) -> tuple[str | int, ...]:
    """Return the command that asks for the types of a run's keys; of sections, those that the index names."""
    return ("EVAL_RO", script("types").text, len(run.fixed), *run.fixed, run.base)


def answered(run: RunKeys, reply: Sequence[bytes]) -> list[WrongType]:
    """Return those of a run's keys that have the wrong type.

    Args:
        run: the run.
        reply: to `question`: key and type in turn.
    """
    texts = [item.decode("utf-8", "replace") for item in reply]
    rows = fixed_rows(run.prefix, run.run_id)
    types = dict(zip(texts[::2], texts[1::2], strict=True))
    types.pop(run.none, None)
    return _wrong({key: rows.get(key, _SECTION) for key in types}, types, run)


def shared(prefix: str, types: Mapping[str, bytes | str]) -> list[WrongType]:
    """Return those of the keys that no run owns which have the wrong type.

    Args:
        prefix: what every key begins with.
        types: of these keys, as the server says them.
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
        return f"sanctum rebuild {run.run_id} makes it again from the stream"
    return f"rename or delete it: whoever writes it ({row.written_by}) makes it again"


def refusal(what: str, wrong: Sequence[WrongType]) -> Unavailable:
    """Return the error for something that cannot be read for the types of these keys.

    Args:
        what: cannot be read.
        wrong: the keys; none where they are in order by now.
    """
    if not wrong:
        return Unavailable(
            f"{what} could not be read: a key had the wrong type, which is mended by now; try again"
        )
    more = f"; {len(wrong) - 1:,} more keys have the wrong type: sanctum doctor" if wrong[1:] else ""
    return Unavailable(f"{what} cannot be read: {wrong[0]}{more}")
