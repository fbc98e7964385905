"""Clients of one server each: they never retry, never wait without end, and can be cancelled at any moment.

redis-py sends a command again when its reply is lost. A lost reply of a read or a commit must lead back to the
checkpoint instead, so no client made here retries.
"""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TooLate
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

try:
    import hiredis
except ImportError:  # an environment that publishes may have redis and msgpack alone
    hiredis = None  # type: ignore[assignment]  # asked about below

_HAS_HIREDIS = hiredis is not None

#: Connections of a client at most, where nobody says: each follower of a run holds one.
_MOST_CONNECTIONS = 10_000


#: Bytes that one read of a socket takes at most; a batch of entries has several times as many.
_READ_BYTES = 1 << 18


def plain(url: str, timeout_s: float) -> redis.Redis:
    """Return a client for threads, of the one server that a URL names."""
    return redis.Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), max_connections=_MOST_CONNECTIONS, **_options(timeout_s)
    )


def plain_async(url: str, timeout_s: float, most: int | None) -> redis.asyncio.Redis:
    """Return a client for asyncio, of the one server that a URL names, with so many connections at most."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
    client = redis.asyncio.Redis.from_url(
        url, retry=retry, max_connections=most or _MOST_CONNECTIONS, **_options(timeout_s)
    )
    return straightened(client)


def straightened(client: redis.asyncio.Redis) -> redis.asyncio.Redis:
    """Let a client send at once, and take in streams as quickly as can be; return it."""
    pool: Any = client.connection_pool
    pool.connection_class = _straight(pool.connection_class)
    client.set_response_callback("XREADGROUP", entries_of)
    return client


def entries_of(response: Any, **_: Any) -> list[tuple[bytes, list[bytes]]]:
    """Return what was read of the one stream: entries as the server gives them, each with its id."""
    return response[0][1] if response else []


class _Straight(AbstractConnection):
    """Sends a command in the very step that asks for it, so that the server works while the caller does."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return a command as it goes over the wire: by hiredis, for a commit has thousands of arguments."""
        if not _HAS_HIREDIS:
            return super().pack_command(*args)
        # A command of two words comes as one.
        words = args[0].split() if isinstance(args[0], str) else args[:1]
        return [hiredis.pack_command((*words, *args[1:]))]

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
        try:
            async with asyncio.timeout(self.socket_timeout):
                writer.writelines([whole] if isinstance(whole, bytes) else whole)
                await writer.drain()
        except BaseException as error:
            # What was sent in part cannot be taken back.
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise TooLate("Timeout writing to socket") from None
            if isinstance(error, OSError):
                raise ConnectionLost(f"Error while writing to socket: {error}") from error
            raise


@lru_cache(maxsize=8)
def _straight(kind: Any) -> Any:
    return type(f"Straight{kind.__name__}", (_Straight, kind), {})


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry_on_error": [],
        "socket_read_size": _READ_BYTES,
        "client_name": "sanctum",
        # Greetings that most servers refuse, and count as errors.
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
