"""How Sanctum talks to servers: one, those that Sentinel watches, or those of a Redis Cluster.

urls       what a URL says
routes     which server owns a key, and how that is found out
plain      clients of one server, which never retry
straight   how a client for asyncio sends and takes in
threads    a client of many servers, which picks a plain one for each command
tasks      the same for asyncio
refusals   which trouble will not pass
"""

import asyncio

import redis
import redis.asyncio

from sanctum_bus.connection.aio import AsyncRoutedRedis
from sanctum_bus.connection.diagnosis import PROBE, permanent_error, refuse_old
from sanctum_bus.connection.single import plain, plain_async
from sanctum_bus.connection.sync import RoutedRedis
from sanctum_bus.connection.url import Kind, Target, parse, redacted
from sanctum_bus.errors import ConfigurationError

__all__ = [
    "DEFAULT_URL",
    "PROBE",
    "URL_VARIABLE",
    "connect",
    "connect_async",
    "connect_to",
    "forget",
    "forget_async",
    "owner",
    "owner_async",
    "permanent_error",
    "primaries",
    "primaries_async",
    "redacted",
    "refusal_of",
    "refuse_old",
    "target_of",
]

#: Where a server is looked for when nobody says.
DEFAULT_URL = "redis://localhost:6379/0"

#: Names the server where nobody gives a URL.
URL_VARIABLE = "SANCTUM_REDIS_URL"


def target_of(url: str) -> Target:
    """Return what a URL says, once the files that it names are there.

    Raises:
        ConfigurationError: the URL is wrong, or a file is missing.
    """
    target = parse(url)
    for path in target.files():
        if not path.is_file():
            raise ConfigurationError(f"{redacted(url)!r} names {path}, which is no file")
    return target


def connect(url: str, *, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client for threads.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    return connect_to(target_of(url), timeout_s=timeout_s)


def connect_to(target: Target, *, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client for threads, of what a URL says."""
    return (
        plain(target.plain, timeout_s)
        if target.kind is Kind.SINGLE
        else RoutedRedis(target, plain, timeout_s)
    )


def connect_async(
    url: str, *, timeout_s: float = 5.0, max_connections: int | None = None
) -> redis.asyncio.Redis:
    """Return a client for asyncio, with so many connections to each server at most.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    target = target_of(url)

    def make(one: str, seconds: float) -> redis.asyncio.Redis:
        return plain_async(one, seconds, max_connections)

    return (
        make(target.plain, timeout_s)
        if target.kind is Kind.SINGLE
        else AsyncRoutedRedis(target, make, timeout_s)
    )


async def refusal_of(error: BaseException, url: str) -> ConfigurationError | None:
    """Return what `permanent_error` returns, without keeping the loop waiting."""
    return await asyncio.to_thread(permanent_error, error, target_of(url), url)


def owner(client: redis.Redis, key: str) -> redis.Redis:
    """Return the client of the one server that owns a key or a sharded channel.

    Raises:
        RedisError: nobody says which it is.
    """
    return client.owner(key) if isinstance(client, RoutedRedis) else client


async def owner_async(client: redis.asyncio.Redis, key: str) -> redis.asyncio.Redis:
    """Return what `owner` returns."""
    return await client.owner(key) if isinstance(client, AsyncRoutedRedis) else client


def primaries(client: redis.Redis) -> list[redis.Redis]:
    """Return a client of each server that holds keys.

    Raises:
        RedisError: nobody says which they are.
    """
    return client.primaries() if isinstance(client, RoutedRedis) else [client]


async def primaries_async(client: redis.asyncio.Redis) -> list[redis.asyncio.Redis]:
    """Return what `primaries` returns."""
    return await client.primaries() if isinstance(client, AsyncRoutedRedis) else [client]


def forget(client: redis.Redis) -> None:
    """Drop the connections that are idle, and what is known of where the servers are."""
    if isinstance(client, RoutedRedis):
        client.forget()
    else:
        client.connection_pool.disconnect(inuse_connections=False)


async def forget_async(client: redis.asyncio.Redis) -> None:
    """Do what `forget` does."""
    if isinstance(client, AsyncRoutedRedis):
        await client.forget()
    else:
        await client.connection_pool.disconnect(inuse_connections=False)
