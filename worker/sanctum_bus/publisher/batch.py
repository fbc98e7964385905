"""A batch of events: the commands of one MULTI/EXEC, and the meaning of its replies. Pure: no I/O."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sanctum_bus.protocol.entry import DROPPED, EVENT, PRODUCER, SEQ, TYPE
from sanctum_bus.publisher.entry import Counts, Entry

#: One command in the form that redis-py accepts.
Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Destination of one producer's entries.

    Args:
        events: key of the stream.
        producers: key of the hash in which each producer reports its counts of sent and dropped events.
        producer: ID of the producer.
        maxlen: approximate maximum length of the stream in entries, read or not; None: unlimited.
    """

    events: str
    producers: str
    producer: str
    maxlen: int | None = None


class BatchResult(NamedTuple):
    """Outcome of one batch.

    Args:
        sent: number of entries that are in the stream.
        lost: number of entries that are not in the stream although later ones are. They are not sent again, because a
            worker would count them as duplicates.
        first_report: the producers hash had no report of this producer: the batch is its first, or the server was
            flushed.
        error: the first error among the replies, or None.
    """

    sent: int
    lost: int
    first_report: bool
    error: Exception | None


def batch_commands(
    route: Route, entries: Sequence[Entry], sent: int, counts: Counts, at: float
) -> list[Command]:
    """Return the commands of a batch, in order.

    Args:
        route: destination of the entries.
        entries: the entries to send.
        sent: number of events that the server has accepted once it accepts this batch.
        counts: counts of the producer. The report excludes dropped events without a number, because they leave no gap.
        at: current time in Unix seconds.
    """
    report = json.dumps({"sent": sent, "dropped": counts.dropped - counts.unnumbered, "at": round(at, 3)})
    return [*xadd_commands(route, entries), ("HSET", route.producers, route.producer, report)]


def xadd_commands(route: Route, entries: Sequence[Entry]) -> list[Command]:
    """Return the commands that append entries to the stream."""
    trim: Command = () if route.maxlen is None else ("MAXLEN", "~", route.maxlen)
    # The field order of `protocol.entry.LAYOUT`: a worker decodes this order fastest.
    head: Command = ("XADD", route.events, *trim, "*", TYPE)
    middle: Command = (PRODUCER, route.producer, SEQ)
    return [
        (*head, kind, *middle, seq, EVENT, event, *((DROPPED, dropped) if dropped else ()))
        for seq, kind, event, dropped in entries
    ]


def parse_replies(replies: Sequence[object]) -> BatchResult:
    """Return the outcome of a batch that the server executed.

    EXEC does not roll back. All commands of a batch append to the same key, so normally all succeed or all fail. For
    example, all fail if the key is not a stream; a server that is out of memory refuses the whole transaction.

    If a server accepts only some entries, those before the last accepted one can no longer follow in order: they are
    lost. Those after it can be sent again.
    """
    *added, report = replies
    accepted = [index for index, reply in enumerate(added) if not isinstance(reply, Exception)]
    error = next((reply for reply in replies if isinstance(reply, Exception)), None)
    up_to = accepted[-1] + 1 if accepted else 0
    return BatchResult(len(accepted), up_to - len(accepted), report == 1, error)
