"""Stream ids, `<milliseconds>-<sequence>`: how they compare, and the first of all."""

#: The version of a run of which nothing is folded; less than every id of an entry.
ZERO = "0-0"


def parse(entry_id: str) -> tuple[int, int]:
    """Return an id as two numbers, which compare as Redis compares ids.

    Raises:
        ValueError: the text is no id.
    """
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def milliseconds(entry_id: str) -> int:
    """Return when the server took the entry, in ms of Unix time."""
    return int(entry_id.partition("-")[0])
