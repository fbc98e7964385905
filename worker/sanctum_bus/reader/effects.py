"""Programs: what is to be done, one effect after the other, without doing it.

A program is a generator: it yields what is to be done, is sent what came of it, and returns its result. Errors of
redis-py are thrown into it where they happened. The two shells do nothing but carry programs out.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar

from redis.exceptions import ConnectionError as ConnectionLost

from sanctum_bus.connection import DEFAULT_URL, URL_VARIABLE
from sanctum_bus.errors import InvalidArgument

#: Hints that one wait takes at most; what one look serves for is no reason to listen for ever.
MOST_HINTS = 10_000

T = TypeVar("T")


class Call(NamedTuple):
    """Send a command; the reply comes as redis-py gives it, with text as bytes."""

    args: tuple[str | int, ...]


class Scan(NamedTuple):
    """Go through the keys of every server with SCAN and these options; the reply is their names, as bytes."""

    options: tuple[str | int, ...]


class Wait(NamedTuple):
    """Wait until something comes over a sharded channel; the reply is what came last, `Heard`.

    Args:
        seconds: how long at most.
        channel: empty: only wait.
        anew: subscribe anew, for the old subscription has missed something.
    """

    seconds: float
    channel: str = ""
    anew: bool = False


class Forget(NamedTuple):
    """Drop the connections that are idle: where one has died, others may have, or lead to a server that was replaced.

    Where there are many servers, it is asked anew which they are.
    """


#: A message, as text where the caller's client decodes; how many channels are subscribed to, where that is all that
#: came; None: nothing.
Heard: TypeAlias = bytes | str | int | None

Effect: TypeAlias = Call | Scan | Wait | Forget
Program: TypeAlias = Generator[Effect, Any, T]


def url_of(url: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return where the server is: as given, else $SANCTUM_REDIS_URL, else the default."""
    return url or environ.get(URL_VARIABLE) or DEFAULT_URL


def one_of(url: str | None, client: object) -> None:
    """Refuse a URL beside a client.

    Raises:
        BadInput: both are given.
    """
    if url is not None and client is not None:
        raise InvalidArgument("give a URL or a client, not both: a client knows its server")


def ask(*args: str | int) -> Program[Any]:
    """Return the reply to a command that only reads.

    A pooled connection may have died unseen. The command is sent once more then, over a fresh one.
    """
    with suppress(ConnectionLost):
        return (yield Call(args))
    yield Forget()
    return (yield Call(args))
