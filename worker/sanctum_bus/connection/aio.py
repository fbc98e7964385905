"""A client for asyncio that finds, for each command, the one server that owns its key."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Never

import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import MovedError, RedisError

from sanctum_bus.connection.sync import ASK_TIMEOUT_S
from sanctum_bus.connection.topology import (
    Query,
    Topology,
    discover,
    invalidates_topology,
    key_of,
    refresh_interval_s,
)
from sanctum_bus.connection.url import Address, Target

Make = Callable[[str, float], redis.asyncio.Redis]


class AsyncRoutedRedis(redis.asyncio.Redis):
    """A client of servers that stand together; the same as `RoutedRedis`, for tasks.

    Args:
        target: what the URL says.
        make: makes a plain client.
        timeout_s: of these clients.
    """

    def __init__(self, target: Target, make: Make, timeout_s: float) -> None:
        # Never connected: it is there for what redis-py looks up in it.
        super().__init__(connection_pool=redis.asyncio.ConnectionPool())
        self._target = target
        self._make = make
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._plain: dict[Address, redis.asyncio.Redis] = {}
        self._asked: dict[Address, redis.asyncio.Redis] = {}
        self._found: Topology | Exception = ConnectionLost("nobody has looked yet where the servers are")
        self._in_doubt = True
        self._known: list[Address] = []
        self._due = 0.0
        self._looks = 0

    async def owner(self, key: str | bytes | None) -> redis.asyncio.Redis:
        """Return the plain client of the server that owns a key; None: of any.

        Raises:
            RedisError: nobody says who that is.
        """
        return self._client((await self._looked()).owner(key))

    async def primaries(self) -> list[redis.asyncio.Redis]:
        """Return a plain client of every server that holds keys.

        Raises:
            RedisError: nobody says which they are.
        """
        return [self._client(address) for address in (await self._looked()).primaries]

    async def forget(self) -> None:
        """Drop the connections that are idle, and ask anew where the servers are before the next command."""
        self._in_doubt = True
        for client in list(self._plain.values()):
            await client.connection_pool.disconnect(inuse_connections=False)

    async def misled(self, error: BaseException) -> bool:
        """Note an error; return whether the command was not executed, and may go to another server at once."""
        if invalidates_topology(error):
            await self.forget()
        if isinstance(error, MovedError) and error.host:
            # Whoever is named there knows best.
            self._known.insert(0, Address(error.host, error.port))
        return isinstance(error, MovedError)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the server that owns its key."""
        key = key_of(args)
        try:
            return await (await self.owner(key)).execute_command(*args, **options)
        except (RedisError, OSError) as error:
            if not await self.misled(error):
                raise
        return await (await self.owner(key)).execute_command(*args, **options)

    def pipeline(
        self,
        transaction: bool = True,  # noqa: FBT001, FBT002  # redis-py's
        shard_hint: str | None = None,
    ) -> "AsyncRoutedPipeline":
        """Return a pipeline; all keys of a transaction must belong to one server."""
        return AsyncRoutedPipeline(self, transaction, shard_hint)

    def pubsub(self, **_options: Any) -> Never:
        """Refuse: a subscription is made on the server that owns its channel."""
        raise NotImplementedError("subscribe with (await owner(channel)).pubsub()")

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001  # redis-py's
        """Close all connections."""
        for client in (*self._plain.values(), *self._asked.values()):
            await client.aclose(close_connection_pool)

    def _client(self, address: Address) -> redis.asyncio.Redis:
        if address not in self._plain:
            self._plain[address] = self._make(self._target.at(address), self._timeout_s)
        return self._plain[address]

    async def _looked(self) -> Topology:
        looks = self._looks
        if self._in_doubt or time.monotonic() >= self._due:
            async with self._lock:
                # One look serves for all who waited for it, whatever came of it.
                if looks == self._looks:
                    await self._look()
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    async def _look(self) -> None:
        began = time.monotonic()
        try:
            self._found, self._in_doubt = await self._carry_out(), False
        except (RedisError, OSError) as error:
            # While nothing fails, what was known holds.
            if self._in_doubt:
                self._found = error
        now = time.monotonic()
        self._looks += 1
        self._due = now + refresh_interval_s(self._target, now - began)
        if isinstance(self._found, Topology):
            self._known = list(self._found.primaries)
        for address, client in list(self._plain.items()):
            if address not in self._known:
                await client.connection_pool.disconnect(inuse_connections=False)

    async def _carry_out(self) -> Topology:
        program = discover(self._target, self._known)
        try:
            question = next(program)
            while True:
                asked = (self._replies(address, question) for address in question.addresses)
                question = program.send(await asyncio.gather(*asked))
        except StopIteration as end:
            routes: Topology = end.value
            return routes

    async def _replies(self, address: Address, question: Query) -> list[Any] | Exception:
        """Ask one server; a second time where the connection has died while nobody asked."""
        fresh = address not in self._asked
        if fresh:
            self._asked[address] = self._make(self._target.asked_at(address), ASK_TIMEOUT_S)
        pipeline = self._asked[address].pipeline(transaction=False)
        for command in question.commands:
            pipeline.execute_command(*command)
        try:
            return await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            await self._asked.pop(address).aclose()
            return error if fresh else await self._replies(address, question)


class AsyncRoutedPipeline(Pipeline):
    """Commands that are sent together: to one server, or without a transaction to each its share.

    Args:
        client: knows the servers.
        transaction: all or nothing.
    """

    def __init__(self, client: AsyncRoutedRedis, transaction: bool, shard_hint: str | None) -> None:  # noqa: FBT001
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # redis-py's
        """Send the commands, and return their replies in order."""
        stack: Sequence[Any] = self.command_stack
        await self.reset()  # type: ignore[no-untyped-call]  # redis-py's
        replies: list[Any] = [None] * len(stack)
        shares: dict[int, tuple[redis.asyncio.Redis, list[int]]] = {}
        try:
            for place, (args, _) in enumerate(stack):
                owner = await self._client.owner(key_of(args))
                shares.setdefault(id(owner), (owner, []))[1].append(place)
            for owner, places in shares.values():
                pipeline = owner.pipeline(transaction=self.is_transaction)
                for place in places:
                    args, options = stack[place]
                    pipeline.execute_command(*args, **options)
                found = await pipeline.execute(raise_on_error=raise_on_error)
                for place, reply in zip(places, found, strict=True):
                    replies[place] = reply
        except (RedisError, OSError) as error:
            await self._client.misled(error)
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                await self._client.misled(reply)
        return replies
