"""A client for asyncio that sends each command to the one server that owns its key.

It answers these limits of redis-py 8; remove it when they are gone:

- `RedisCluster` is not a `Redis`, so code for one server cannot use it. This client is a `Redis` for all topologies.
- redis-py repeats commands that may have been executed. This client sends a command a second time only after MOVED, which
  means that it was not executed.
- In a cluster, the asyncio `MULTI` of redis-py starts a thread with an event loop for each queued command.
- The Sentinel pool of redis-py queries the sentinels only for a new connection. After a manual failover it keeps writing
  to the old primary, which loses these writes. This client queries them every second.

connection/sync.py is generated from this file: run `scripts/generate-sync` after a change.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Never

import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import MovedError, RedisError

from sanctum_bus.connection.concurrency import gather_async
from sanctum_bus.connection.topology import (
    QUERY_TIMEOUT_S,
    Query,
    Topology,
    discover,
    invalidates_topology,
    key_of,
    refresh_interval_s,
)
from sanctum_bus.connection.url import Address, Endpoint, Target

MakeClient = Callable[[Endpoint, float], redis.asyncio.Redis]


class AsyncRoutedRedis(redis.asyncio.Redis):
    """A client of several servers: each command goes once, to the server that owns its key.

    It holds one client for each server. It discovers the topology after an error that makes the topology doubtful, and
    periodically: after a failover, the old primary may accept writes for a while, and loses them. Tasks may share a client.

    Args:
        target: the servers that the URL names.
        make: creates a client of one server.
        timeout_s: seconds for each reply of these clients.
    """

    def __init__(self, target: Target, make: MakeClient, timeout_s: float) -> None:
        # This pool never connects: methods of redis-py read its settings.
        super().__init__(connection_pool=redis.asyncio.ConnectionPool())
        self._target = target
        self._make = make
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._clients: dict[Address, redis.asyncio.Redis] = {}
        self._query_clients: dict[Address, redis.asyncio.Redis] = {}
        self._outcome: Topology | Exception = ConnectionLost("the topology was not discovered yet")
        self._known: list[Address] = []
        self._due = 0.0
        # Discoveries that ended, and resets: in total, at the start of the last discovery, and of the last success.
        self._discoveries = 0
        self._resets = 1
        self._resets_at_start = 0
        self._resets_settled = 0

    async def owner(self, key: str | bytes | None) -> redis.asyncio.Redis:
        """Return the client of the server that owns a key; for None, of any server.

        Raises:
            RedisError: the topology could not be discovered.
        """
        topology = await self._topology()
        return self._client(topology.owner(key))

    async def primaries(self) -> list[redis.asyncio.Redis]:
        """Return a client of every server that holds keys.

        Raises:
            RedisError: the topology could not be discovered.
        """
        topology = await self._topology()
        return [self._client(address) for address in topology.primaries]

    async def reset_connections(self) -> None:
        """Close the idle connections, and discover the topology before the next command."""
        self._resets += 1
        for client in list(self._clients.values()):
            await client.connection_pool.disconnect(inuse_connections=False)

    async def note_error(self, error: BaseException) -> bool:
        """Invalidate the topology if the error makes it doubtful.

        Returns:
            True for MOVED: the command was not executed, and may go to another server at once.
        """
        if invalidates_topology(error):
            await self.reset_connections()
        if isinstance(error, MovedError) and error.host:
            # The new owner of the slot has the newest view of the cluster.
            self._known.insert(0, Address(error.host, error.port))
        return isinstance(error, MovedError)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the server that owns its key."""
        key = key_of(args)
        try:
            owner = await self.owner(key)
            return await owner.execute_command(*args, **options)
        except (RedisError, OSError) as error:
            if not await self.note_error(error):
                raise
        owner = await self.owner(key)
        return await owner.execute_command(*args, **options)

    def pipeline(
        self,
        transaction: bool = True,  # noqa: FBT001, FBT002  # redis-py's
        shard_hint: str | None = None,
    ) -> "AsyncRoutedPipeline":
        """Return a pipeline; all keys of a transaction must belong to one server."""
        return AsyncRoutedPipeline(self, transaction, shard_hint)

    def pubsub(self, **_options: Any) -> Never:
        """Refuse: a subscription belongs on the server that owns its channel."""
        raise NotImplementedError("subscribe with the client that owner(channel) returns")

    async def aclose(self, *options: Any, **named: Any) -> None:
        """Close all connections."""
        for client in (*self._clients.values(), *self._query_clients.values()):
            await client.aclose(*options, **named)

    def _client(self, address: Address) -> redis.asyncio.Redis:
        client = self._clients.get(address)
        if client is None:
            made = self._make(self._target.endpoint_at(address), self._timeout_s)
            client = self._clients.setdefault(address, made)
        return client

    async def _topology(self) -> Topology:
        discoveries, resets = self._discoveries, self._resets
        if self._resets_settled != resets or time.monotonic() >= self._due:
            async with self._lock:
                # One discovery serves all that waited for it, whatever its outcome, if it began after the last reset.
                if discoveries == self._discoveries or self._resets_at_start < resets:
                    await self._discover()
        outcome = self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _discover(self) -> None:
        began = time.monotonic()
        self._resets_at_start = self._resets
        try:
            self._outcome = await self._run_discovery()
            self._resets_settled = self._resets_at_start
        except (RedisError, OSError) as error:
            # Until a command fails, the last topology stays valid.
            if self._resets_settled != self._resets:
                self._outcome = error
        now = time.monotonic()
        self._discoveries += 1
        self._due = now + refresh_interval_s(self._target, now - began)
        if isinstance(self._outcome, Topology):
            self._known = list(self._outcome.primaries)
        for address, client in list(self._clients.items()):
            if address not in self._known:
                await client.connection_pool.disconnect(inuse_connections=False)

    async def _run_discovery(self) -> Topology:
        program = discover(self._target, self._known)
        try:
            query = next(program)
            while True:
                replies = await gather_async(self._ask(address, query) for address in query.addresses)
                query = program.send(replies)
        except StopIteration as end:
            topology: Topology = end.value
            return topology

    async def _ask(self, address: Address, query: Query) -> list[Any] | Exception:
        """Return the replies of one server. A connection that died while it was idle gets a second attempt."""
        is_new = address not in self._query_clients
        if is_new:
            endpoint = self._target.discovery_endpoint_at(address)
            self._query_clients[address] = self._make(endpoint, QUERY_TIMEOUT_S)
        pipeline = self._query_clients[address].pipeline(transaction=False)
        for command in query.commands:
            pipeline.execute_command(*command)
        try:
            return await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            await self._query_clients.pop(address).aclose()
            return error if is_new else await self._ask(address, query)


class AsyncRoutedPipeline(Pipeline):
    """Commands that are sent together: a transaction to one server, otherwise each command to the owner of its key.

    Args:
        client: the routed client.
        transaction: send the commands as one transaction.
    """

    def __init__(self, client: AsyncRoutedRedis, transaction: bool, shard_hint: str | None) -> None:  # noqa: FBT001
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client
        self._transaction = transaction

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
                pipeline = owner.pipeline(transaction=self._transaction)
                for place in places:
                    args, options = stack[place]
                    pipeline.execute_command(*args, **options)
                found = await pipeline.execute(raise_on_error=raise_on_error)
                for place, reply in zip(places, found, strict=True):
                    replies[place] = reply
        except (RedisError, OSError) as error:
            await self._client.note_error(error)
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                await self._client.note_error(reply)
        return replies
