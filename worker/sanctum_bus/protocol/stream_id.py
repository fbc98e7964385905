"""Stream IDs, `<milliseconds>-<sequence>`: parsing, comparing, checking."""

import re

from sanctum_bus.errors import InvalidArgument

#: The version of a run before its first commit; less than the ID of every entry.
ZERO = "0-0"


def parse(entry_id: str) -> tuple[int, int]:
    """Return an ID as two numbers; they compare as Redis compares IDs.

    Raises:
        ValueError: the text is not a stream ID.
    """
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def milliseconds(entry_id: str) -> int:
    """Return the time at which the server added the entry, in ms of Unix time."""
    return int(entry_id.partition("-")[0])


def less(one: str, other: str) -> bool:
    """Return whether an ID comes before another."""
    return parse(one) < parse(other)


_ID = re.compile(rb"[0-9]{1,20}(?:-[0-9]{1,20})?")


def checked_id(entry_id: str) -> str:
    """Return a stream ID in the form that every server accepts.

    Raises:
        InvalidArgument: the text is not a stream ID.
    """
    if not is_id(entry_id.encode()):
        raise InvalidArgument(f"{entry_id!r} is not a stream ID (expected MILLISECONDS-SEQUENCE)")
    milliseconds, sequence = parse(entry_id)
    return f"{milliseconds}-{sequence}"


def is_id(text: bytes) -> bool:
    """Return whether a text is a stream ID; the version `torn` is not."""
    return _ID.fullmatch(text) is not None
