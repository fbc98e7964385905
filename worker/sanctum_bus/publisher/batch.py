"""One batch: the commands of one MULTI/EXEC, and what the replies to it mean. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sanctum_bus.protocol.entry import DROPPED, EVENT, PRODUCER, SEQ, TYPE
from sanctum_bus.publisher.buffer import Counts, Entry

#: One command as redis-py takes it.
Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a producer's entries go.

    Args:
        events: key of the stream.
        producers: key of the hash in which producers say what they sent and dropped.
        producer: the producer's id.
        maxlen: about how many entries the stream may keep, read or not; None: all.
    """

    events: str
    producers: str
    producer: str
    maxlen: int | None = None


class BatchResult(NamedTuple):
    """What a batch came to.

    Args:
        sent: entries that are in the stream.
        lost: entries that are not, although later ones are: sent again, they would count as duplicates.
        emptied: the server did not know this producer.
        problem: the first error among the replies.
    """

    sent: int
    lost: int
    emptied: bool
    problem: Exception | None


def commands(route: Route, entries: Sequence[Entry], sent: int, counts: Counts, at: float) -> list[Command]:
    """Return the commands of a batch, in order.

    Args:
        route: where to.
        entries: what to send.
        sent: events that the server has accepted once it has accepted this batch.
        counts: the producer's counts; dropped events without a number are no business of the worker.
        at: Unix seconds.
    """
    report = json.dumps({"sent": sent, "dropped": counts.dropped - counts.unnumbered, "at": round(at, 3)})
    return [*xadd_commands(route, entries), ("HSET", route.producers, route.producer, report)]


def xadd_commands(route: Route, entries: Sequence[Entry]) -> list[Command]:
    """Return the commands that add entries to the stream."""
    trim: Command = () if route.maxlen is None else ("MAXLEN", "~", route.maxlen)
    # In the order of `wire.fields.LAYOUT`, which a worker takes in quickest.
    head: Command = ("XADD", route.events, *trim, "*", TYPE)
    middle: Command = (PRODUCER, route.producer, SEQ)
    return [
        (*head, kind, *middle, seq, EVENT, event, *((DROPPED, dropped) if dropped else ()))
        for seq, kind, event, dropped in entries
    ]


def parse_replies(replies: Sequence[object]) -> BatchResult:
    """Judge the replies to a batch that was executed.

    EXEC does not roll back. The commands of a batch are alike and go to one key, so they all succeed or all fail (a
    stream that is no stream; what a full server refuses, it refuses as a whole). Should a server still take some of
    them: those before the first one taken can never follow it in order, and are lost; those after the last one taken
    can.
    """
    *added, report = replies
    taken = [index for index, reply in enumerate(added) if not isinstance(reply, Exception)]
    problem = next((reply for reply in replies if isinstance(reply, Exception)), None)
    up_to = taken[-1] + 1 if taken else 0
    return BatchResult(len(taken), up_to - len(taken), report == 1, problem)
