"""A client for asyncio that goes straight to the server: what is asked for is sent in the same step, and taken in quickly.

redis-py's own way is longer than all that a worker does with a single event: a time-out for each send and each reply,
timers and counters for a telemetry of its own. A worker's requests have one time-out each here, and nothing else. Who
is asked, over which connection, and how one is made and lost stays redis-py's.
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
except ImportError:  # an environment that publishes may have redis and msgpack alone
    hiredis = None  # type: ignore[assignment]  # asked about below

_HAS_HIREDIS = hiredis is not None


class LowLatencyRedis(redis.asyncio.Redis):
    """A client of one server."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        pool: Any = self.connection_pool
        pool.connection_class = _straight(pool.connection_class)
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
    """Return what was read of the one stream: entries as the server gives them, each with its id."""
    return response[0][1] if response else []


class _Request(Pipeline):
    """Commands that go to the server together."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # redis-py's
        """Send the commands, and return their replies in order; an error of the server's is one too."""
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


class _Straight(AbstractConnection):
    """Sends a command in the very step that asks for it, so that the server works while the caller does."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return a command as it goes over the wire: by hiredis, for a commit has thousands of arguments."""
        if not _HAS_HIREDIS:
            return super().pack_command(*args)
        # A command of two words comes as one.
        words = args[0].split() if isinstance(args[0], str) else args[:1]
        return [hiredis.pack_command((*words, *args[1:]))]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Return commands as they go over the wire."""
        return [chunk for command in commands for chunk in self.pack_command(*command)]

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002  # redis-py's
    ) -> None:
        """Send a command.

        redis-py sends within `asyncio.wait_for`, which on Python 3.11 starts a task, and forgets that the caller was
        cancelled where that task has just ended.

        Raises:
            TimeoutError, ConnectionError: of redis-py; the connection is closed.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]  # redis-py's
        whole = command.encode() if isinstance(command, str) else command
        writer = cast("asyncio.StreamWriter", self._writer)
        async with self._ended_by_trouble("writing to"):
            writer.writelines([whole] if isinstance(whole, bytes) else whole)
            # Nearly always all of it has gone.
            if writer.transport.get_write_buffer_size():
                async with asyncio.timeout(self.socket_timeout):
                    await writer.drain()

    async def read_response(self, *given: Any, **options: Any) -> Any:
        """Return the next reply, as redis-py does for a command by itself.

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
        """Return the next replies; an error of the server's is one too.

        Raises:
            TimeoutError, ConnectionError: of redis-py; the connection is closed.
        """
        parser: Any = self._parser
        async with self._ended_by_trouble("reading from"), asyncio.timeout(self.socket_timeout):
            return [await parser.read_response() for _ in range(count)]

    def _lost(self, doing: str, error: OSError) -> ConnectionLost:
        return ConnectionLost(f"Connection lost while {doing} {self._host_error()}: {error}")

    @asynccontextmanager
    async def _ended_by_trouble(self, doing: str) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            # What was sent in part cannot be taken back, nor a reply that nobody has waited for.
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise TooLate(f"Timeout {doing} {self._host_error()}") from None
            if isinstance(error, OSError):
                raise self._lost(doing, error) from error
            raise


@lru_cache(maxsize=8)
def _straight(kind: Any) -> Any:
    return type(f"Straight{kind.__name__}", (_Straight, kind), {})
