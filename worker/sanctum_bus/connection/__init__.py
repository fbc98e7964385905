"""How Sanctum talks to a server: clients without retries of their own, and the check that a server will do.

redis-py sends a command again when its reply is lost. A lost reply of a read or a commit must lead back to the
checkpoint instead, so no client made here retries.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from sanctum_bus.errors import ConfigurationError, ServerTooOld

#: Where a server is looked for when nobody says.
DEFAULT_URL = "redis://localhost:6379/0"

_PROBE = "#!lua flags=no-writes\nreturn redis.call('PING').ok"


def clean_url(url: str) -> str:
    """Return a URL without options that would change the shape of replies.

    Raises:
        ConfigurationError: it is no URL of a Redis server.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ConfigurationError(
            f"{redacted(url)!r} is no URL of a Redis server: it begins with redis://, rediss:// or unix://"
        )
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "protocol"]
    # Put together by hand: `urlunsplit` takes the empty host out of unix:///path.
    bare = url.partition("?")[0].partition("#")[0]
    return f"{bare}?{urlencode(query)}" if query else bare


def redacted(url: str) -> str:
    """Return a URL with its password masked, wherever in it the password stands."""
    return _PASSWORDS.sub(r"\1***", url)


# Between the user's colon and the host's at sign, and in an option.
_PASSWORDS = re.compile(r"(?i)((?<=//)[^/?#@:]*:|[?&]password=)(?:(?<=:)[^/?#]*(?=@)|(?<==)[^&#]*)")


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry_on_error": [],
        "client_name": "sanctum",
    }


def connect(url: str, *, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client for threads.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    try:
        return redis.Redis.from_url(clean_url(url), retry=Retry(NoBackoff(), 0), **_options(timeout_s))
    except ValueError as error:
        raise ConfigurationError(f"{redacted(url)!r} is no usable URL: {error}") from None


def connect_async(
    url: str, *, timeout_s: float = 5.0, max_connections: int | None = None
) -> redis.asyncio.Redis:
    """Return a client for asyncio.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    try:
        return redis.asyncio.Redis.from_url(
            clean_url(url),
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
            max_connections=max_connections,
            **_options(timeout_s),
        )
    except ValueError as error:
        raise ConfigurationError(f"{redacted(url)!r} is no usable URL: {error}") from None


#: What a server is asked before anything else: a script with flags in a read-only call, new in Redis 7.0.
PROBE = ("EVAL_RO", _PROBE, 0)


def refuse_old(error: ResponseError, info: dict[str, Any]) -> ServerTooOld:
    """Return the refusal of a server that failed the probe."""
    found = info.get("valkey_version") or info.get("redis_version") or "of unknown version"
    return ServerTooOld(
        f"the server ({found}) is too old: Sanctum needs Redis 7.0 or Valkey 8, or newer ({error})"
    )
