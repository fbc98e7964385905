"""A client for threads that finds, for each command, the one server that owns its key."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.client import Pipeline, PubSub
from redis.exceptions import MovedError, RedisError

from sanctum_bus.connection.topology import (
    Query,
    Topology,
    discover,
    invalidates_topology,
    key_of,
    refresh_interval_s,
)
from sanctum_bus.connection.url import Address, Target

#: Seconds that whoever is asked where the servers are has for each step.
ASK_TIMEOUT_S = 1.0

Make = Callable[[str, float], redis.Redis]


class RoutedRedis(redis.Redis):
    """A client of servers that stand together: each command goes to the one that owns its key, and only once.

    It holds a plain client for each server. Where the servers are it asks when it must, and now and then: after a
    failover the old master may take writes for a while, and loses them. Threads may share one.

    Args:
        target: what the URL says.
        make: makes a plain client.
        timeout_s: of these clients.
    """

    def __init__(self, target: Target, make: Make, timeout_s: float) -> None:
        # Never connected: it is there for what redis-py looks up in it.
        super().__init__(connection_pool=redis.ConnectionPool())
        self._target = target
        self._make = make
        self._timeout_s = timeout_s
        self._lock = threading.RLock()
        self._plain: dict[Address, redis.Redis] = {}
        self._asked: dict[Address, redis.Redis] = {}
        self._routes: Topology | None = None
        self._known: list[Address] = []
        self._due = 0.0

    def owner(self, key: str | bytes | None) -> redis.Redis:
        """Return the plain client of the server that owns a key; None: of any.

        Raises:
            RedisError: nobody says who that is.
        """
        with self._lock:
            return self._client(self._looked().owner(key))

    def primaries(self) -> list[redis.Redis]:
        """Return a plain client of every server that holds keys.

        Raises:
            RedisError: nobody says which they are.
        """
        with self._lock:
            return [self._client(address) for address in self._looked().primaries]

    def forget(self) -> None:
        """Drop the connections that are idle, and ask anew where the servers are before the next command."""
        with self._lock:
            self._routes = None
            for client in self._plain.values():
                client.connection_pool.disconnect(inuse_connections=False)

    def misled(self, error: BaseException) -> bool:
        """Note an error; return whether the command was not executed, and may go to another server at once."""
        with self._lock:
            if invalidates_topology(error):
                self.forget()
            if isinstance(error, MovedError) and error.host:
                # Whoever is named there knows best.
                self._known.insert(0, Address(error.host, error.port))
        return isinstance(error, MovedError)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the server that owns its key."""
        key = key_of(args)
        try:
            return self.owner(key).execute_command(*args, **options)
        except (RedisError, OSError) as error:
            if not self.misled(error):
                raise
        return self.owner(key).execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "RoutedPipeline":  # noqa: FBT001, FBT002  # redis-py's
        """Return a pipeline; all keys of a transaction must belong to one server."""
        return RoutedPipeline(self, transaction, shard_hint)

    def pubsub(self, **_options: Any) -> PubSub:
        """Refuse: a subscription is made on the server that owns its channel."""
        raise NotImplementedError("subscribe with owner(channel).pubsub()")

    def close(self) -> None:
        """Close all connections."""
        for client in (*self.__dict__.get("_plain", {}).values(), *self.__dict__.get("_asked", {}).values()):
            client.close()

    def _client(self, address: Address) -> redis.Redis:
        if address not in self._plain:
            self._plain[address] = self._make(self._target.at(address), self._timeout_s)
        return self._plain[address]

    def _looked(self) -> Topology:
        began = time.monotonic()
        if self._routes is not None and began < self._due:
            return self._routes
        try:
            self._routes = self._carry_out()
        except (RedisError, OSError):
            # While nothing fails, what was known holds.
            if self._routes is None:
                raise
        now = time.monotonic()
        self._due = now + refresh_interval_s(self._target, now - began)
        self._known = list(self._routes.primaries)
        for address, client in self._plain.items():
            if address not in self._known:
                client.connection_pool.disconnect(inuse_connections=False)
        return self._routes

    def _carry_out(self) -> Topology:
        program = discover(self._target, self._known)
        try:
            question = next(program)
            while True:
                question = program.send([self._replies(address, question) for address in question.addresses])
        except StopIteration as end:
            routes: Topology = end.value
            return routes

    def _replies(self, address: Address, question: Query) -> list[Any] | Exception:
        if address not in self._asked:
            self._asked[address] = self._make(self._target.asked_at(address), ASK_TIMEOUT_S)
        pipeline = self._asked[address].pipeline(transaction=False)
        for command in question.commands:
            pipeline.execute_command(*command)
        try:
            return pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            self._asked.pop(address).close()
            return error


class RoutedPipeline(Pipeline):
    """Commands that are sent together: to one server, or without a transaction to each its share.

    Args:
        client: knows the servers.
        transaction: all or nothing.
    """

    def __init__(self, client: RoutedRedis, transaction: bool, shard_hint: str | None) -> None:  # noqa: FBT001
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # redis-py's
        """Send the commands, and return their replies in order."""
        stack: Sequence[Any] = self.command_stack
        self.reset()
        replies: list[Any] = [None] * len(stack)
        shares: dict[int, tuple[redis.Redis, list[int]]] = {}
        try:
            for place, (args, _) in enumerate(stack):
                owner = self._client.owner(key_of(args))
                shares.setdefault(id(owner), (owner, []))[1].append(place)
            for owner, places in shares.values():
                pipeline = owner.pipeline(transaction=self.transaction)
                for place in places:
                    args, options = stack[place]
                    pipeline.execute_command(*args, **options)
                for place, reply in zip(places, pipeline.execute(raise_on_error=raise_on_error), strict=True):
                    replies[place] = reply
        except (RedisError, OSError) as error:
            self._client.misled(error)
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                self._client.misled(reply)
        return replies
