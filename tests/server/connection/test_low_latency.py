"""Requests with several commands over the client for asyncio."""

import asyncio
import errno
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.connection import connect_async
from tests.support.servers import Server

#: More bytes than the socket buffers hold.
LARGE = b"x" * (32 << 20)


def _with_client(server: Server, work: Callable[[Redis], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        client = connect_async(server.url, **options)
        try:
            await work(client)
        finally:
            await client.aclose()

    asyncio.run(run())


async def _ask(client: Redis, *commands: tuple[Any, ...]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return await pipeline.execute(raise_on_error=False)


def _address_of(client: Redis) -> str:
    where = client.connection_pool.connection_kwargs
    return re.escape(str(where.get("path") or where["port"]))


def test_errors_stand_in_their_places(server: Server) -> None:
    """A command that fails does not change the replies to the others."""

    async def work(client: Redis) -> None:
        found = await _ask(client, ("SET", "a", 1), ("INCRBY", "a", "none"), ("GET", "a"))
        assert [found[0], found[2]] == [True, b"1"]
        assert isinstance(found[1], ResponseError)
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("INCRBY", "a", "none")
        with pytest.raises(ResponseError):
            await pipeline.execute()
        # The second use starts empty.
        assert await pipeline.execute() == []

    _with_client(server, work)


def test_a_late_reply_is_nobody_elses(server: Server) -> None:
    """After a time-out the connection is closed, so a late reply answers no other request. The error names the server."""

    async def work(client: Redis) -> None:
        with pytest.raises(TooLate, match=_address_of(client)):
            await _ask(client, ("ECHO", "first"), ("BLPOP", "nothing", 1))
        assert await _ask(client, ("ECHO", "second")) == [b"second"]

    _with_client(server, work, timeout_s=0.2)


def test_what_is_larger_than_the_sockets_buffers_arrives(server: Server) -> None:
    """A request waits until all of it is sent."""

    async def work(client: Redis) -> None:
        assert (await _ask(client, ("SET", "a", LARGE), ("STRLEN", "a")))[1] == len(LARGE)

    _with_client(server, work, timeout_s=20.0)


def test_a_lost_connection_is_said_and_replaced(server: Server) -> None:
    """If a connection dies during a request, redis-py's error is raised, and the next request uses another one."""

    async def work(client: Redis) -> None:
        async with connect_async(server.url) as other:
            waiting = asyncio.ensure_future(_ask(client, ("BLPOP", "nothing", 20)))
            killed = 0
            while not killed:
                killed = await other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with pytest.raises(ConnectionLost):
                await waiting
        assert await _ask(client, ("ECHO", "again")) == [b"again"]

    _with_client(server, work)


@pytest.mark.parametrize("count", [1, 2])
def test_a_connection_that_breaks_is_said_to_be_lost(
    server: Server, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """For every error of the operating system, the message reports a lost connection, and names the server."""

    async def work(client: Redis) -> None:
        connection: Any = await client.connection_pool.get_connection()
        await client.connection_pool.release(connection)
        expected = f"^Connection lost while reading from .*{_address_of(client)}.*Broken pipe"
        request = client.execute_command("PING") if count == 1 else _ask(client, *[("PING",)] * count)
        with monkeypatch.context() as patch:
            patch.setattr(connection._parser, "read_response", _break)
            with pytest.raises(ConnectionLost, match=expected):
                await request
        assert await _ask(client, ("ECHO", "again")) == [b"again"]

    _with_client(server, work)


async def _break(**_: object) -> None:
    raise BrokenPipeError(errno.EPIPE, "Broken pipe")
