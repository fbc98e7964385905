"""An event on its way to the server, and the counts of all events of a producer."""

from typing import Any, NamedTuple

#: Maximum size of an entry in bytes. Servers refuse a request of 512 MiB, and the buffer uses memory of the training.
MAX_SENT_BYTES = 64 << 20

#: Type of the event that starts a run; a run needs it for everything else to be interpreted.
TRAINING_STARTED = "TRAINING_STARTED"


class Entry(NamedTuple):
    """One event with its number.

    Args:
        seq: number of the event, from 1.
        type: name of the event's type.
        event: the event map in MessagePack.
        dropped: count of the numbers directly before `seq` that are never sent.
    """

    seq: int
    type: str
    event: bytes
    dropped: int = 0


class Counts(NamedTuple):
    """Counts of one producer's events at one moment.

    Args:
        emitted: events that have a type. A TRAINING_STARTED that the publisher sends again counts again.
        sent: events that the server accepted.
        dropped: events that were discarded: the buffer was full, the event too large, or the publisher closed.
        buffered: events in memory, neither sent nor dropped.
        unnumbered: those of `dropped` that came after `close`; they have no number and leave no gap.
        unconvertible: values that were sent as their `repr`, renamed, or could not be read.
        rejected: events without a type; no other count includes them.
        spilled: events in spill files, neither sent nor dropped.
    """

    emitted: int
    sent: int
    dropped: int
    buffered: int
    unnumbered: int
    unconvertible: int
    rejected: int
    spilled: int = 0


def size_of(entry: tuple[Any, ...]) -> int:
    """Return the size of an event in bytes, including its type."""
    return len(entry[1]) + len(entry[2])
