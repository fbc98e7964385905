"""Clients of one server each: they never retry, and never wait without end.

redis-py sends a command again when its reply is lost. A lost reply of a read or a commit must lead back to the
checkpoint instead, so no client made here retries.
"""

from functools import cache
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

try:
    import hiredis
except ImportError:  # an environment that publishes may have redis and msgpack alone
    hiredis = None  # type: ignore[assignment]  # asked about below


#: Connections of a client at most, where nobody says: each follower of a run holds one.
_MOST_CONNECTIONS = 10_000


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
    if hiredis is not None:
        pool: Any = client.connection_pool
        pool.connection_class = _packing(pool.connection_class)
    return client


class _Packing(AbstractConnection):
    """Packs commands with hiredis, as redis-py's connections for threads do: a commit has thousands of arguments."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Return a command as it goes over the wire."""
        # A command of two words comes as one.
        words = args[0].split() if isinstance(args[0], str) else args[:1]
        return [hiredis.pack_command((*words, *args[1:]))]


@cache
def _packing(kind: Any) -> Any:
    return type(f"Packing{kind.__name__}", (_Packing, kind), {})


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry_on_error": [],
        "client_name": "sanctum",
        # Greetings that most servers refuse, and count as errors.
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
