"""Clients of several servers: when they discover the topology, and how often."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import MovedError, ResponseError

from sanctum_bus.connection.aio import AsyncRoutedRedis
from sanctum_bus.connection.sync import RoutedRedis
from sanctum_bus.connection.url import Endpoint, parse

CLUSTER = parse("redis+cluster://a:1")

#: More callers than one discovery needs.
CALLERS = 8

PATIENCE_S = 20.0


class Servers:
    """The clients that a routed client makes, with one reply for each discovery.

    Args:
        replies: an error, or the port of the server that owns all slots.
    """

    def __init__(self, *replies: Exception | int) -> None:
        self._replies = list(replies)
        self.discoveries = 0
        self.started = threading.Event()
        self.released = threading.Event()
        self.released.set()

    def reply(self) -> list[Any]:
        """Return the reply to the next discovery; the last one repeats."""
        reply = self._replies[min(self.discoveries, len(self._replies) - 1)]
        self.discoveries += 1
        if isinstance(reply, Exception):
            raise reply
        return [[[0, 16383, [b"a", reply, b"id"]]]]


class Pool:
    """A connection pool that never connects."""

    def disconnect(self, *, inuse_connections: bool) -> "Done":
        """Close nothing."""
        assert not inuse_connections
        return Done()


class Done:
    """A result that need not be awaited, but can be."""

    def __await__(self) -> Any:
        return iter(())


class Client:
    """A client of one server."""

    def __init__(self, servers: Servers, endpoint: Endpoint) -> None:
        self.servers = servers
        self.port = endpoint.options["port"]
        self.connection_pool = Pool()

    def pipeline(self, *, transaction: bool) -> "Client":
        """Return what takes the commands of a discovery."""
        assert not transaction
        return self

    def execute_command(self, *_: Any) -> None:
        """Queue a command."""

    def execute(self, **_: Any) -> list[Any]:
        """Return the reply to a discovery."""
        self.servers.started.set()
        self.servers.released.wait(PATIENCE_S)
        return self.servers.reply()

    def close(self) -> None:
        """Close nothing."""


class AsyncClient(Client):
    """A client of one server for asyncio."""

    async def execute(self, **_: Any) -> list[Any]:  # type: ignore[override]  # the same for asyncio
        """Return the reply to a discovery."""
        self.servers.started.set()
        await asyncio.to_thread(self.servers.released.wait, PATIENCE_S)
        return self.servers.reply()

    async def aclose(self) -> None:
        """Close nothing."""


def routed(servers: Servers) -> RoutedRedis:
    """Return a client for threads."""
    return RoutedRedis(CLUSTER, lambda endpoint, _: Client(servers, endpoint), 1.0)  # type: ignore[arg-type,return-value]


def routed_async(servers: Servers) -> AsyncRoutedRedis:
    """Return a client for asyncio."""
    return AsyncRoutedRedis(CLUSTER, lambda endpoint, _: AsyncClient(servers, endpoint), 1.0)  # type: ignore[arg-type,return-value]


def port_of(client: Any) -> int:
    """Return the port of a client of one server."""
    return int(client.port)


def test_one_discovery_serves_all_threads_that_wait() -> None:
    """Threads that need the topology at the same time share one discovery."""
    servers = Servers(7)
    client = routed(servers)
    servers.released.clear()
    with ThreadPoolExecutor(CALLERS) as threads:
        ports = [threads.submit(lambda: port_of(client.owner("k"))) for _ in range(CALLERS)]
        assert servers.started.wait(PATIENCE_S)
        servers.released.set()
        assert [port.result(PATIENCE_S) for port in ports] == [7] * CALLERS

    assert servers.discoveries == 1


def test_one_discovery_serves_all_tasks_that_wait() -> None:
    """Tasks that need the topology at the same time share one discovery, also if it fails."""
    servers = Servers(ConnectionLost("refused"), 7)

    async def run() -> list[Any]:
        client = routed_async(servers)
        failed = await asyncio.gather(*[client.owner("k") for _ in range(CALLERS)], return_exceptions=True)
        assert port_of(await client.owner("k")) == 7
        return failed

    assert [type(error) for error in asyncio.run(run())] == [ConnectionLost] * CALLERS
    assert servers.discoveries == 2


def test_a_reset_during_a_discovery_causes_another_one() -> None:
    """A discovery may miss what happened after its start: a caller that reset the client waits for the next one."""
    servers = Servers(7, 8)

    async def run() -> tuple[int, int]:
        client = routed_async(servers)
        servers.released.clear()
        first = asyncio.ensure_future(client.owner("k"))
        assert await asyncio.to_thread(servers.started.wait, PATIENCE_S)
        assert await client.note_error(MovedError("1 a:8"))
        second = asyncio.ensure_future(client.owner("k"))
        await asyncio.sleep(0)
        servers.released.set()
        return port_of(await first), port_of(await second)

    assert asyncio.run(run()) == (7, 8)


def test_an_error_of_the_command_itself_resets_nothing() -> None:
    """An error that has nothing to do with the topology causes no discovery."""
    servers = Servers(7)
    client = routed(servers)
    client.owner("k")

    assert not client.note_error(ResponseError("WRONGTYPE"))
    client.owner("k")

    assert servers.discoveries == 1


def test_a_failed_refresh_keeps_the_topology(monkeypatch: pytest.MonkeyPatch) -> None:
    """While no command fails, an unreachable node leaves the topology as it was; after an error it is raised."""
    now = [100.0]
    monkeypatch.setattr("sanctum_bus.connection.sync.time.monotonic", lambda: now[0])
    servers = Servers(7, ConnectionLost("refused"))
    client = routed(servers)
    client.owner("k")
    now[0] += 60

    assert port_of(client.owner("k")) == 7
    client.note_error(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost, match="no node returned the topology"):
        client.owner("k")
