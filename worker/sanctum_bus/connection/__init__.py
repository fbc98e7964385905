"""Clients for one server, for the primary of a Sentinel service, and for a Redis Cluster.

url          parse and resolve URLs
topology     find out which server owns a key
single       clients of one server, which never retry
low_latency  the faster client for asyncio
aio          a client of several servers for asyncio
sync         the same for threads, generated from aio
concurrency  what asyncio and threads do differently
diagnosis    errors that retrying cannot cure
retry        back-off, and errors that can pass
"""

import asyncio

import redis
import redis.asyncio

from sanctum_bus.connection.aio import AsyncRoutedRedis
from sanctum_bus.connection.diagnosis import PROBE, permanent_error, refuse_old
from sanctum_bus.connection.single import single_client, single_client_async
from sanctum_bus.connection.sync import RoutedRedis
from sanctum_bus.connection.url import (
    DEFAULT_URL,
    URL_VARIABLE,
    Endpoint,
    Kind,
    Target,
    parse,
    redacted,
    resolve_url,
)
from sanctum_bus.errors import ConfigurationError

__all__ = [
    "DEFAULT_URL",
    "PROBE",
    "URL_VARIABLE",
    "connect",
    "connect_async",
    "connect_to",
    "owner",
    "owner_async",
    "permanent_error",
    "permanent_error_async",
    "primaries",
    "primaries_async",
    "redacted",
    "refuse_old",
    "reset",
    "reset_async",
    "resolve_url",
    "target_of",
]


def target_of(url: str) -> Target:
    """Return the servers that a URL names.

    Raises:
        ConfigurationError: the URL is invalid, or a file that it names does not exist.
    """
    target = parse(url)
    for path in target.files():
        if not path.is_file():
            raise ConfigurationError(f"invalid Redis URL {redacted(url)!r}: file not found: {path}")
    return target


def connect(url: str, *, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client for threads.

    Args:
        url: the URL of the servers.
        timeout_s: seconds for a connection and for each reply.

    Raises:
        ConfigurationError: the URL is invalid.
    """
    return connect_to(target_of(url), timeout_s=timeout_s)


def connect_to(target: Target, *, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client for threads, from a parsed URL.

    Args:
        target: the servers.
        timeout_s: seconds for a connection and for each reply.
    """
    return (
        single_client(target.endpoint, timeout_s)
        if target.kind is Kind.SINGLE
        else RoutedRedis(target, single_client, timeout_s)
    )


def connect_async(
    url: str, *, timeout_s: float = 5.0, max_connections: int | None = None
) -> redis.asyncio.Redis:
    """Return a client for asyncio.

    Args:
        url: the URL of the servers.
        timeout_s: seconds for a connection and for each reply.
        max_connections: maximum number of connections to each server.

    Raises:
        ConfigurationError: the URL is invalid.
    """
    target = target_of(url)

    def make(endpoint: Endpoint, seconds: float) -> redis.asyncio.Redis:
        return single_client_async(endpoint, seconds, max_connections)

    return (
        make(target.endpoint, timeout_s)
        if target.kind is Kind.SINGLE
        else AsyncRoutedRedis(target, make, timeout_s)
    )


async def permanent_error_async(error: BaseException, url: str) -> ConfigurationError | None:
    """Return the result of `permanent_error` without blocking the event loop."""
    return await asyncio.to_thread(permanent_error, error, target_of(url), url)


def owner(client: redis.Redis, key: str) -> redis.Redis:
    """Return the client of the one server that owns a key or a sharded channel.

    Raises:
        RedisError: the topology could not be discovered.
    """
    return client.owner(key) if isinstance(client, RoutedRedis) else client


async def owner_async(client: redis.asyncio.Redis, key: str) -> redis.asyncio.Redis:
    """Return the client of the one server that owns a key or a sharded channel.

    Raises:
        RedisError: the topology could not be discovered.
    """
    return await client.owner(key) if isinstance(client, AsyncRoutedRedis) else client


def primaries(client: redis.Redis) -> list[redis.Redis]:
    """Return a client of each server that holds keys.

    Raises:
        RedisError: the topology could not be discovered.
    """
    return client.primaries() if isinstance(client, RoutedRedis) else [client]


async def primaries_async(client: redis.asyncio.Redis) -> list[redis.asyncio.Redis]:
    """Return a client of each server that holds keys.

    Raises:
        RedisError: the topology could not be discovered.
    """
    return await client.primaries() if isinstance(client, AsyncRoutedRedis) else [client]


def reset(client: redis.Redis) -> None:
    """Close the idle connections, and invalidate the topology."""
    if isinstance(client, RoutedRedis):
        client.reset_connections()
    else:
        client.connection_pool.disconnect(inuse_connections=False)


async def reset_async(client: redis.asyncio.Redis) -> None:
    """Close the idle connections, and invalidate the topology."""
    if isinstance(client, AsyncRoutedRedis):
        await client.reset_connections()
    else:
        await client.connection_pool.disconnect(inuse_connections=False)
