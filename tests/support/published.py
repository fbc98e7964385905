"""Read what a publisher wrote, and create clients that fail on request."""

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
from sanctum_bus.publisher.config import connect

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
    """All entries of the run's stream, in order."""
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
    """The numbers of all entries, in the order of the stream."""
    return [entry.seq for entry in entries(client)]


def folded(client: Redis) -> Aggregate:
    """The fold of the run's stream."""
    reply: Any = client.xrange(EVENTS)
    return fold_entries((entry_id.decode(), entry) for entry_id, entry in reply)


def report(client: Redis, producer: str | None) -> dict[str, Any]:
    """Return the counts of sent and dropped events that a producer reports."""
    reply: Any = client.hget(PRODUCERS, str(producer))
    result = json.loads(reply)
    assert isinstance(result, dict)
    return result


def numbered(count: int, first: int = 1) -> list[dict[str, object]]:
    """Return events with their own number as data, so that a test can check order and content."""
    return [{"event_type": "STEP", "data": {"number": number}} for number in range(first, first + count)]


class Gate:
    """A way to Redis that a test opens and shuts, or that loses answers. It is a `client_factory`.

    Args:
        url: of the server behind it.
        closed: no connection is made as long as this is true.
        lost_answers: so many batches are executed, and then their answer is lost.
        kept_answers: so many answers arrive before the first one is lost.
        refused: positions in the first batch that the server refuses while it takes the others.
    """

    def __init__(
        self,
        url: str,
        *,
        closed: bool = False,
        lost_answers: int = 0,
        kept_answers: int = 0,
        refused: frozenset[int] = frozenset(),
    ) -> None:
        self.url = url
        self.closed = closed
        self.lost_answers = lost_answers
        self.kept_answers = kept_answers
        self.refused = refused
        self.clients = 0

    def __call__(self) -> Redis:
        """Make a client, or refuse."""
        self.clients += 1
        if self.closed:
            raise RedisConnectionError("the gate is closed")
        client = connect(self.url)
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
                if self.kept_answers:
                    self.kept_answers -= 1
                elif self.lost_answers:
                    self.lost_answers -= 1
                    raise RedisConnectionError("the answer was lost")
                return replies

            pipe.execute = executed  # type: ignore[method-assign]
            return pipe

        return make
