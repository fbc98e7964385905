"""URLs of servers: what they may say, and what is made of them. Nothing here does I/O.

    redis://[USER:PASSWORD@]HOST:PORT/DB                            one server
    unix://[USER:PASSWORD@]/PATH?db=DB                              one server, on this machine
    redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/SERVICE/DB the master that sentinels name
    redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT             the servers of a Redis Cluster

With `rediss` instead of `redis` all connections use TLS, with the options `ssl_...` of redis-py.
"""

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from redis.connection import Connection, parse_url
from redis.exceptions import RedisError

from sanctum_bus.errors import ConfigurationError

FORMS = (
    "it should look like redis://HOST:PORT/DB, rediss://… (TLS), unix:///PATH, "
    "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB or redis+cluster://HOST:PORT,HOST:PORT"
)

_ESCAPES = "in a password `/` is written %2F, `?` %3F and `#` %23"

_SERVER_PORT, _SENTINEL_PORT = 6379, 26_379

# They change the shape of replies, which is not the user's to choose.
_SHAPING = {"protocol", "decode_responses", "legacy_responses"}

# Between the user's colon and the host's at sign, and in an option.
_PASSWORDS = re.compile(
    r"(?i)((?<=//)[^/?#@:]*:|[?&](?:sentinel_|ssl_)?password=)(?:(?<=:)[^?#]*(?=@)|(?<==)[^&#]*)"
)


class Kind(Enum):
    """How the servers of a URL stand together."""

    SINGLE = "one server"
    SENTINEL = "a master that sentinels name"
    CLUSTER = "a Redis Cluster"


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL says.

    Args:
        seeds: the addresses in the URL: the server, sentinels, or nodes of a cluster. A Unix socket has none.
        service: what the sentinels call the master.
        plain: what all servers have in common: the URL of the only one, or one with `{}` where the address belongs.
        asking: likewise for whoever is asked where the others are.
    """

    kind: Kind
    seeds: tuple[Address, ...]
    service: str
    plain: str
    asking: str

    def at(self, address: Address) -> str:
        """Return the URL of one server that holds keys."""
        return self.plain.replace(_HERE, str(address))

    def asked_at(self, address: Address) -> str:
        """Return the URL of one server that is asked where the others are."""
        return self.asking.replace(_HERE, str(address))

    def files(self) -> list[Path]:
        """Return the files that the options name."""
        options = dict(parse_qsl(urlsplit(self.plain).query))
        return [Path(options[name]) for name in _FILES if name in options]


# No host can be called so.
_HERE = "{}"

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def parse(url: str) -> Target:
    """Return what a URL says.

    Raises:
        ConfigurationError: it is no URL of Redis servers; the message says why, with its passwords masked.
    """
    try:
        return _parsed(url)
    except (ValueError, TypeError, AttributeError, RedisError) as error:
        # What has no form of a URL may be a password that went astray.
        shown = repr(redacted(url)) if "://" in str(url) else "what was given"
        raise ConfigurationError(f"{shown} is no URL of a Redis server: {why(error)}; {FORMS}") from None


def why(error: Exception) -> str:
    """Return what is wrong with a URL, as a sentence may go on."""
    text = str(error)
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", text)
    if unexpected is None:
        return text
    name = unexpected[1]
    return f"the option {name} " + ("needs rediss://" if name.startswith("ssl_") else "is unknown")


def redacted(url: str) -> str:
    """Return a URL with its passwords masked, wherever in it they stand."""
    return _PASSWORDS.sub(r"\1***", url)


def _parsed(url: str) -> Target:
    parts = urlsplit(url)
    base, _, together = parts.scheme.partition("+")
    if base not in {"redis", "rediss", "unix"} or together not in {"", "sentinel", "cluster"}:
        raise ValueError("it begins with another word" if parts.scheme else "it has no redis:// in front")
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in _SHAPING]
    if not together:
        # Put together by hand: `urlunsplit` takes the empty host out of unix:///path.
        bare = url.partition("?")[0].partition("#")[0]
        if base != "unix":
            _database(parts.path.strip("/"))
        plain = _usable(f"{bare}?{urlencode(query)}" if query else bare)
        seeds = () if base == "unix" else _addresses(parts.netloc.rpartition("@")[2], _SERVER_PORT)
        return Target(Kind.SINGLE, seeds, "", plain, plain)
    if base == "unix":
        raise ValueError("a Unix socket leads to one server only")
    user, at, where = parts.netloc.rpartition("@")
    if together == "cluster":
        if parts.path.strip("/") not in {"", "0"}:
            raise ValueError("a cluster has no databases")
        plain = _together(base, user + at, "0", query)
        return Target(Kind.CLUSTER, _addresses(where, _SERVER_PORT), "", plain, plain)
    service, database = _service(parts)
    rest = [(name, value) for name, value in query if not name.startswith("sentinel_")]
    return Target(
        Kind.SENTINEL,
        _addresses(where, _SENTINEL_PORT),
        service,
        _together(base, user + at, database, rest),
        _together(base, _sentinel_user(dict(query)), "0", [one for one in rest if one[0] != "db"]),
    )


def _together(scheme: str, user: str, database: str, query: list[tuple[str, str]]) -> str:
    """Return the URL of one of many servers, with `{}` for its address."""
    options = f"?{urlencode(query)}" if query else ""
    _usable(f"{scheme}://{user}localhost:1/{database}{options}")
    return f"{scheme}://{user}{_HERE}/{database}{options}"


def _usable(url: str) -> str:
    """Return a URL that redis-py understands: an option that it does not would else be found with the first command."""
    given = parse_url(url)
    # Of the pool.
    for name in ("max_connections", "timeout"):
        given.pop(name, None)
    given.pop("connection_class", Connection)(**given)
    return url


def _addresses(where: str, default_port: int) -> tuple[Address, ...]:
    found = []
    for one in where.split(","):
        parts = urlsplit(f"//{one}")
        if not parts.hostname:
            raise ValueError(f"a host is missing; {_ESCAPES}")
        found.append(Address(parts.hostname, parts.port or default_port))
    return tuple(found)


def _service(parts: SplitResult) -> tuple[str, str]:
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("it does not say what the sentinels call the master")
    return unquote(service), _database(database)


def _database(text: str) -> str:
    if not (text or "0").isdecimal():
        # Not shown: it may be the rest of a password.
        raise ValueError(f"what it names is no number of a database; {_ESCAPES}")
    return text or "0"


def _sentinel_user(options: dict[str, str]) -> str:
    unknown = {name for name in options if name.startswith("sentinel_")} - {
        "sentinel_username",
        "sentinel_password",
    }
    if unknown:
        raise ValueError(f"the option {unknown.pop()} is unknown")
    user, password = (
        quote(options.get(f"sentinel_{name}", ""), safe="") for name in ("username", "password")
    )
    return f"{user}:{password}@" if password else ""
