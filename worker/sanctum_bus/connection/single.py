"""Clients of one server each: they never retry, never wait without end, and can be cancelled at any moment.

redis-py sends a command again when its reply is lost. A lost reply of a read or a commit must lead back to the
checkpoint instead, so no client made here retries.
"""

from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from sanctum_bus.connection.low_latency import LowLatencyRedis

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
    return LowLatencyRedis.from_url(
        url, retry=retry, max_connections=most or _MOST_CONNECTIONS, **_options(timeout_s)
    )


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
