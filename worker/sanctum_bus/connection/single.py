"""Clients of one server each: they never retry, every wait has a time-out, and a task can be canceled at any moment.

redis-py sends a command again if its reply is lost. After a lost reply of a read or a commit, the worker must go back to
the checkpoint instead, so no client that is made here retries.
"""

from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from sanctum_bus.connection.low_latency import LowLatencyRedis
from sanctum_bus.connection.url import Endpoint

#: Maximum number of connections of a client by default: each follower of a run holds one.
_MAX_CONNECTIONS = 10_000

#: Maximum bytes that one read of a socket takes; a batch of entries has several times as many.
_READ_BYTES = 1 << 18

_CONNECTIONS: dict[str, Any] = {
    "redis": redis.Connection,
    "rediss": redis.SSLConnection,
    "unix": redis.UnixDomainSocketConnection,
}

_ASYNC_CONNECTIONS: dict[str, Any] = {
    "redis": redis.asyncio.Connection,
    "rediss": redis.asyncio.SSLConnection,
    "unix": redis.asyncio.UnixDomainSocketConnection,
}


def single_client(endpoint: Endpoint, timeout_s: float) -> redis.Redis:
    """Return a client of one server for threads.

    Args:
        endpoint: the server.
        timeout_s: seconds for a connection and for each reply.
    """
    pool = redis.ConnectionPool(
        _CONNECTIONS[endpoint.scheme],
        **{**_defaults(timeout_s), "retry": Retry(NoBackoff(), 0), **endpoint.options},
    )
    return redis.Redis.from_pool(pool)


def single_client_async(
    endpoint: Endpoint, timeout_s: float, max_connections: int | None = None
) -> redis.asyncio.Redis:
    """Return a client of one server for asyncio.

    Args:
        endpoint: the server.
        timeout_s: seconds for a connection and for each reply.
        max_connections: maximum number of connections; None: enough for thousands of followers.
    """
    defaults = _defaults(timeout_s)
    if max_connections:
        defaults["max_connections"] = max_connections
    pool = redis.asyncio.ConnectionPool(
        _ASYNC_CONNECTIONS[endpoint.scheme],
        **{**defaults, "retry": redis.asyncio.retry.Retry(NoBackoff(), 0), **endpoint.options},
    )
    return LowLatencyRedis.from_pool(pool)


def _defaults(timeout_s: float) -> dict[str, Any]:
    """Return the options that a URL may override."""
    return {
        "max_connections": _MAX_CONNECTIONS,
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry_on_error": [],
        "socket_read_size": _READ_BYTES,
        "client_name": "sanctum",
        # Commands of the handshake that most servers refuse, and count as errors.
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
