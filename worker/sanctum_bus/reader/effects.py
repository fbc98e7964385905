"""Effects: what a program needs from Redis and from the clock.

A program is a generator. It yields an effect, is sent the result, and returns its own result at the end. Errors of
redis-py are thrown into it at the effect that failed. Programs do no I/O; the two readers perform their effects.
"""

from collections.abc import Generator
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, TypeVar

from redis.exceptions import ConnectionError as ConnectionLost

from sanctum_bus.errors import InvalidArgument

#: Maximum notifications that one wait takes. One read serves all of them, and a busy channel must not block the follower.
MAX_NOTIFICATIONS = 10_000

T = TypeVar("T")


class Call(NamedTuple):
    """Send a command; the reply is that of redis-py, with text as bytes."""

    args: tuple[str | int, ...]


class Scan(NamedTuple):
    """Iterate over the keys of every server with SCAN and these options; the reply is their names as bytes."""

    options: tuple[str | int, ...]


class Wait(NamedTuple):
    """Wait for a message on a sharded channel; the reply is the last `Message`.

    Args:
        seconds: maximum time to wait.
        channel: the channel; empty: wait for the whole time.
        resubscribe: replace the subscription, because it missed a message.
    """

    seconds: float
    channel: str = ""
    resubscribe: bool = False


class Reset(NamedTuple):
    """Close the idle connections, and discover again where the servers are.

    If one connection died, others may be dead too, or lead to a server that was replaced.
    """


#: A message, as text if the caller's client decodes; the number of subscriptions if only their confirmation arrived;
#: None if nothing arrived.
Message: TypeAlias = bytes | str | int | None

Effect: TypeAlias = Call | Scan | Wait | Reset
Program: TypeAlias = Generator[Effect, Any, T]


def check_one_of(url: str | None, client: object) -> None:
    """Check that at most one of URL and client is given.

    Raises:
        InvalidArgument: both are given.
    """
    if url is not None and client is not None:
        raise InvalidArgument("give either url or client, not both")


def read(*args: str | int) -> Program[Any]:
    """Return the reply to a read-only command.

    A pooled connection may have died while it was idle. In that case the command is sent once more over a new one.
    """
    with suppress(ConnectionLost):
        return (yield Call(args))
    yield Reset()
    return (yield Call(args))
