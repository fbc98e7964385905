"""Parse the URLs of Redis servers into hosts and keyword arguments for redis-py. Nothing here does I/O.

    redis://[USER:PASSWORD@]HOST:PORT/DB                            one server
    unix://[USER:PASSWORD@]/PATH?db=DB                              one server on this machine
    redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/SERVICE/DB the primary of a Sentinel service
    redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT             the servers of a Redis Cluster

With `rediss` instead of `redis`, all connections use TLS, with the options `ssl_...` of redis-py.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError

from sanctum_bus.errors import ConfigurationError

#: The server if neither an argument nor the environment names one.
DEFAULT_URL = "redis://localhost:6379/0"

#: Environment variable with the URL of the server.
URL_VARIABLE = "SANCTUM_REDIS_URL"

FORMS = (
    "Supported: redis://HOST:PORT/DB, rediss://... (TLS), unix:///PATH, "
    "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB, redis+cluster://HOST:PORT,HOST:PORT"
)

_ESCAPES = "in a password, write `/` as %2F, `?` as %3F and `#` as %23"

_SERVER_PORT, _SENTINEL_PORT = 6379, 26_379

#: Options that change the shape of replies. Sanctum sets the shape, so these options are dropped.
_REPLY_OPTIONS = {"protocol", "decode_responses", "legacy_responses"}

#: Options of the connection pool; all others are options of a connection.
_POOL_OPTIONS = {"max_connections"}

_FILE_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")

_SENTINEL_OPTIONS = {"sentinel_username", "sentinel_password"}

_CONNECTIONS: dict[str, type] = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
}

# A password in the options. Masked first, so that an `@` in it does not count as the end of the credentials.
_OPTION_PASSWORD = re.compile(r"(?i)([?&](?:sentinel_|ssl_)?password=)[^&]*")

# The password between the user's colon and the last `@`. It may hold `/`, `?` and `#` that should have been escaped.
_PASSWORD = re.compile(r"(?s)((?<=//)[^/?#@:]*:).*(?=@)")


class Kind(Enum):
    """The kinds of deployment that a URL can name."""

    SINGLE = "one server"
    SENTINEL = "the primary of a Sentinel service"
    CLUSTER = "a Redis Cluster"


class Address(NamedTuple):
    """The host and port of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Endpoint(NamedTuple):
    """All that is needed to connect to one server.

    Args:
        scheme: `redis`, `rediss` or `unix`.
        options: keyword arguments of a redis-py connection pool.
    """

    scheme: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The servers that a URL names.

    Args:
        kind: how the servers are deployed.
        scheme: `redis`, `rediss` or `unix`.
        seeds: the addresses in the URL: the server, sentinels, or nodes of a cluster. Empty for a Unix socket.
        service: the name of the Sentinel service; empty for other kinds.
        options: keyword arguments for the servers that hold keys; a single server's include its address.
        discovery_options: keyword arguments for the servers that are queried for the topology.
    """

    kind: Kind
    scheme: str
    seeds: tuple[Address, ...] = ()
    service: str = ""
    options: Mapping[str, Any]
    discovery_options: Mapping[str, Any]

    @property
    def endpoint(self) -> Endpoint:
        """The only server of a single-server URL."""
        return Endpoint(self.scheme, self.options)

    def endpoint_at(self, address: Address) -> Endpoint:
        """Return a server that holds keys."""
        return Endpoint(self.scheme, {**self.options, **address._asdict()})

    def discovery_endpoint_at(self, address: Address) -> Endpoint:
        """Return a server that is queried for the topology."""
        return Endpoint(self.scheme, {**self.discovery_options, **address._asdict()})

    def files(self) -> list[Path]:
        """Return the files that the options name."""
        return [Path(self.options[name]) for name in _FILE_OPTIONS if name in self.options]


def resolve_url(url: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the server: the argument, else $SANCTUM_REDIS_URL, else `DEFAULT_URL`.

    Args:
        url: the URL that the caller gave; None if it gave none.
        environ: the environment; an empty variable counts as unset.
    """
    return url if url is not None else environ.get(URL_VARIABLE) or DEFAULT_URL


def parse(url: str) -> Target:
    """Return the servers that a URL names.

    Raises:
        ConfigurationError: the URL is invalid. The message gives the reason, and masks passwords.
    """
    try:
        return _parsed(url)
    except (ValueError, TypeError, AttributeError, RedisError) as error:
        # Text without `://` may be a misplaced password.
        shown = repr(redacted(url)) if "://" in str(url) else "(not shown: it may contain a password)"
        raise ConfigurationError(f"invalid Redis URL {shown}: {_reason(error, url)}. {FORMS}") from None


def redacted(url: str) -> str:
    """Return a URL with all of its passwords masked."""
    return _PASSWORD.sub(r"\1***", _OPTION_PASSWORD.sub(r"\1***", url))


def _reason(error: Exception, url: str) -> str:
    """Return why a URL is invalid."""
    text = str(error)
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", text)
    if unexpected is None:
        return text
    name = unexpected[1]
    needs_tls = name.startswith("ssl_") and not url.lower().startswith("rediss")
    return f"option {name} " + ("requires rediss://" if needs_tls else "is unknown")


def _parsed(url: str) -> Target:
    try:
        parts = urlsplit(url)
    except ValueError:
        # Not passed on: the message of urlsplit can quote the credentials.
        raise ValueError(f"malformed authority; {_ESCAPES}") from None
    parser = _PARSERS.get(parts.scheme)
    if parser is None:
        # Quoted only if it precedes `://`: otherwise it may be a part of a password.
        quoted = f" {parts.scheme!r}" if f"{parts.scheme}://" in url.lower() else ""
        raise ValueError(f"unsupported scheme{quoted}" if parts.scheme else "missing scheme such as redis://")
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in _REPLY_OPTIONS]
    return parser(parts.scheme.partition("+")[0], parts, query)


Pairs = list[tuple[str, str]]


def _socket(scheme: str, parts: SplitResult, query: Pairs) -> Target:
    path = {"path": unquote(parts.path)} if parts.path else {}
    options = _options(scheme, query, {**_credentials(parts), **path})
    return Target(kind=Kind.SINGLE, scheme=scheme, options=options, discovery_options=options)


def _single(scheme: str, parts: SplitResult, query: Pairs) -> Target:
    database = _database(parts.path.strip("/"))
    seeds = _addresses(parts, _SERVER_PORT)
    if len(seeds) > 1:
        raise ValueError(f"{scheme}:// takes one host; use {scheme}+sentinel:// or {scheme}+cluster://")
    options = _options(scheme, query, {**_credentials(parts), **seeds[0]._asdict()}, database)
    return Target(kind=Kind.SINGLE, scheme=scheme, seeds=seeds, options=options, discovery_options=options)


def _sentinel(scheme: str, parts: SplitResult, query: Pairs) -> Target:
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError(f"missing Sentinel service name: {scheme}+sentinel://HOST:PORT/SERVICE")
    rest = [(name, value) for name, value in query if not name.startswith("sentinel_")]
    return Target(
        kind=Kind.SENTINEL,
        scheme=scheme,
        seeds=_addresses(parts, _SENTINEL_PORT),
        service=unquote(service),
        options=_options(scheme, rest, _credentials(parts), _database(database)),
        discovery_options=_options(
            scheme, [pair for pair in rest if pair[0] != "db"], _sentinel_credentials(dict(query))
        ),
    )


def _cluster(scheme: str, parts: SplitResult, query: Pairs) -> Target:
    if parts.path.strip("/") not in {"", "0"}:
        raise ValueError("a cluster has database 0 only")
    options = _options(scheme, query, _credentials(parts))
    seeds = _addresses(parts, _SERVER_PORT)
    return Target(kind=Kind.CLUSTER, scheme=scheme, seeds=seeds, options=options, discovery_options=options)


_PARSERS: dict[str, Callable[[str, SplitResult, Pairs], Target]] = {
    "unix": _socket,
    "redis": _single,
    "rediss": _single,
    "redis+sentinel": _sentinel,
    "rediss+sentinel": _sentinel,
    "redis+cluster": _cluster,
    "rediss+cluster": _cluster,
}


def _options(scheme: str, query: Pairs, fixed: Mapping[str, Any], database: int = 0) -> dict[str, Any]:
    """Return keyword arguments for redis-py: options of the URL, then what the rest of the URL fixes.

    A connection is made, and not opened, as a check: redis-py would report an unknown option with the first command.
    """
    options: dict[str, Any] = {"db": database, **parse_url(f"redis://?{urlencode(query)}"), **fixed}
    _CONNECTIONS[scheme](**{name: value for name, value in options.items() if name not in _POOL_OPTIONS})
    return options


def _credentials(parts: SplitResult) -> dict[str, str]:
    given = {"username": parts.username, "password": parts.password}
    return {name: unquote(text) for name, text in given.items() if text}


def _sentinel_credentials(options: dict[str, str]) -> dict[str, str]:
    unknown = {name for name in options if name.startswith("sentinel_")} - _SENTINEL_OPTIONS
    if unknown:
        raise ValueError(f"option {unknown.pop()} is unknown")
    if not options.get("sentinel_password"):
        return {}
    return {name.removeprefix("sentinel_"): options[name] for name in _SENTINEL_OPTIONS & options.keys()}


def _addresses(parts: SplitResult, default_port: int) -> tuple[Address, ...]:
    found = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname:
            raise ValueError(f"a host is missing; {_ESCAPES}")
        try:
            port = one.port
        except ValueError:
            # Not quoted: it may be a part of a password.
            raise ValueError(f"the port must be a number from 0 to 65535; {_ESCAPES}") from None
        found.append(Address(one.hostname, port or default_port))
    return tuple(found)


def _database(text: str) -> int:
    if not (text or "0").isdecimal():
        # Not quoted: it may be a part of a password.
        raise ValueError(f"database must be a non-negative integer; {_ESCAPES}")
    return int(text or "0")
