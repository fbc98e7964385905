"""A client for asyncio with little overhead for each request: it sends at once, and reads all replies in one pass.

It answers these limits of redis-py 8:

- Each send and each reply has its own time-out, timers and telemetry counters. Together they take longer than a worker
  takes to fold one event. Here a request has one time-out.
- On Python 3.11, `asyncio.wait_for` in the send starts a task. It loses the cancellation of the caller if that task has
  just ended.
- Some errors of the operating system, such as EPIPE, are passed on as `OSError` and do not name the server.

Routing, connection pools, handshakes and reconnects are those of redis-py. This module uses `_writer` and `_parser` of its
connections, which are private: the project requires redis-py below 9 for this reason. Remove this module when redis-py
sends without `asyncio.wait_for` and the benchmarks show the same latency without it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, cast

import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TooLate

try:
    import hiredis
except ImportError:  # a publisher's environment may have redis and msgpack alone
    hiredis = None  # type: ignore[assignment]  # tested below

_HAS_HIREDIS = hiredis is not None


class LowLatencyRedis(redis.asyncio.Redis):
    """A client of one server."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        pool: Any = self.connection_pool
        pool.connection_class = _low_latency(pool.connection_class)
        self.set_response_callback("XREADGROUP", entries_of)

    def pipeline(
        self,
        transaction: bool = True,  # noqa: FBT001, FBT002  # redis-py's
        shard_hint: str | None = None,
    ) -> Pipeline:
        """Return a pipeline; one without a transaction is one request."""
        kind = Pipeline if transaction else _Request
        return kind(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def entries_of(response: Any, **_: Any) -> list[tuple[bytes, list[bytes]]]:
    """Return the entries of the one stream in a reply to XREADGROUP: IDs, and fields as names and values alternating."""
    return response[0][1] if response else []


class _Request(Pipeline):
    """Commands that are sent to the server together."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # redis-py's
        """Send the commands, and return their replies in order. An error reply is a reply too."""
        stack, self.command_stack = self.command_stack, []
        if not stack:
            return []
        connection: Any = await self.connection_pool.get_connection()
        try:
            await connection.send_packed_command(connection.pack_commands([args for args, _ in stack]))
            replies: list[Any] = await connection.replies(len(stack))
        finally:
            await self.connection_pool.release(connection)
        for place, (args, options) in enumerate(stack):
            callback = self.response_callbacks.get(args[0])
            if callback is not None and not isinstance(replies[place], Exception):
                replies[place] = callback(replies[place], **options)
        if raise_on_error:
            self.raise_first_error(stack, replies)
        return replies


class _LowLatencyConnection(AbstractConnection):
    """A connection that sends a command before the first wait, so that server and caller work at the same time."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return the bytes of a command. They are made by hiredis, because a commit has thousands of arguments."""
        if not _HAS_HIREDIS:
            return super().pack_command(*args)
        # redis-py passes a command of two words as one string.
        words = args[0].split() if isinstance(args[0], str) else args[:1]
        return [hiredis.pack_command((*words, *args[1:]))]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Return the bytes of commands."""
        return [chunk for command in commands for chunk in self.pack_command(*command)]

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002  # redis-py's
    ) -> None:
        """Send a command.

        Raises:
            TimeoutError, ConnectionError: of redis-py; the connection is closed.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]  # redis-py's
        whole = command.encode() if isinstance(command, str) else command
        writer = cast("asyncio.StreamWriter", self._writer)
        async with self._closed_on_error("writing to"):
            writer.writelines([whole] if isinstance(whole, bytes) else whole)
            # Nearly always the write has sent everything.
            if writer.transport.get_write_buffer_size():
                async with asyncio.timeout(self.socket_timeout):
                    await writer.drain()

    async def read_response(self, *given: Any, **options: Any) -> Any:
        """Return the next reply. redis-py calls this for a single command.

        Raises:
            TimeoutError, ConnectionError: of redis-py; the connection is closed.
        """
        try:
            return await super().read_response(*given, **options)
        except ConnectionLost as error:
            if isinstance(error.__context__, OSError):
                raise self._lost("reading from", error.__context__) from error.__context__
            raise

    async def replies(self, count: int) -> list[Any]:
        """Return the next replies. An error reply is a reply too.

        Raises:
            TimeoutError, ConnectionError: of redis-py; the connection is closed.
        """
        parser: Any = self._parser
        async with self._closed_on_error("reading from"), asyncio.timeout(self.socket_timeout):
            return [await parser.read_response() for _ in range(count)]

    def _lost(self, doing: str, error: OSError) -> ConnectionLost:
        return ConnectionLost(f"Connection lost while {doing} {self._host_error()}: {error}")

    @asynccontextmanager
    async def _closed_on_error(self, doing: str) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            # A partial send cannot be undone, and the next request would read a reply that was not awaited.
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise TooLate(f"Timeout {doing} {self._host_error()}") from None
            if isinstance(error, OSError):
                raise self._lost(doing, error) from error
            raise


@lru_cache(maxsize=8)
def _low_latency(kind: Any) -> Any:
    return type(f"LowLatency{kind.__name__}", (_LowLatencyConnection, kind), {})
