"""Helpers that read the stream of a publisher, and a client factory with faults."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import msgpack
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.publisher.config import client_factory_for

RUN = "run-1"
EVENTS = f"nissa:{{{RUN}}}:events"
PRODUCERS = f"nissa:{{{RUN}}}:producers"
INDEX = "nissa:runs"


class Sent(NamedTuple):
    """One entry of the stream, decoded."""

    type: str
    producer: str
    seq: int
    body: dict[str, Any]


def entries(client: Redis) -> list[Sent]:
    """Return all entries of the run's stream, in order."""
    reply: Any = client.xrange(EVENTS)
    return [
        Sent(
            entry[b"type"].decode(),
            entry[b"producer"].decode(),
            int(entry[b"seq"]),
            msgpack.unpackb(entry[b"event"]),
        )
        for _, entry in reply
    ]


def seqs(client: Redis) -> list[int]:
    """Return the numbers of all entries, in the order of the stream."""
    return [entry.seq for entry in entries(client)]


def folded(client: Redis) -> Aggregate:
    """Return the fold of the run's stream."""
    reply: Any = client.xrange(EVENTS)
    return fold_entries((entry_id.decode(), entry) for entry_id, entry in reply)


def report(client: Redis, producer: str | None) -> dict[str, Any]:
    """Return the report of a producer: its counts of sent and dropped events."""
    reply: Any = client.hget(PRODUCERS, str(producer))
    result = json.loads(reply)
    assert isinstance(result, dict)
    return result


def numbered(count: int, first: int = 1) -> list[dict[str, object]]:
    """Return events with their number as data, so that a test can compare order and contents."""
    return [{"event_type": "STEP", "data": {"number": number}} for number in range(first, first + count)]


class Gate:
    """A `client_factory` that a test can close, and that can lose replies.

    Args:
        url: URL of the server.
        closed: refuse to create clients while this is true.
        lost_replies: number of batches that are executed, but whose reply is lost.
        kept_replies: number of replies that arrive before the first one is lost.
        refused: positions in the first batch that are refused while the others are accepted.

    Attributes:
        clients: number of calls so far.
    """

    def __init__(
        self,
        url: str,
        *,
        closed: bool = False,
        lost_replies: int = 0,
        kept_replies: int = 0,
        refused: frozenset[int] = frozenset(),
    ) -> None:
        self.url = url
        self.closed = closed
        self.lost_replies = lost_replies
        self.kept_replies = kept_replies
        self.refused = refused
        self.clients = 0

    def __call__(self) -> Redis:
        """Create a client, or raise if the gate is closed."""
        self.clients += 1
        if self.closed:
            raise RedisConnectionError("the gate is closed")
        client = client_factory_for(self.url)()
        client.pipeline = self._losing(client.pipeline)  # type: ignore[method-assign]  # one client, not the class
        return client

    def _losing(self, pipeline: Callable[..., Pipeline]) -> Callable[..., Pipeline]:
        def make(*args: Any, **options: Any) -> Pipeline:
            pipe = pipeline(*args, **options)
            execute = pipe.execute

            def executed(*args: Any, **options: Any) -> list[Any]:
                refused, self.refused = self.refused, frozenset()
                stack = pipe.command_stack
                pipe.command_stack = [command for at, command in enumerate(stack) if at not in refused]
                replies = execute(*args, **options)
                for at in sorted(refused):
                    replies.insert(at, ResponseError("OOM refused in the middle"))
                if self.kept_replies:
                    self.kept_replies -= 1
                elif self.lost_replies:
                    self.lost_replies -= 1
                    raise RedisConnectionError("the reply was lost")
                return replies

            pipe.execute = executed  # type: ignore[method-assign]  # one pipeline
            return pipe

        return make
