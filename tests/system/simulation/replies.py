"""Replies of the model server, and their encoding."""

from typing import Any


class Status(bytes):
    """A reply such as `OK`, which is not data."""

    __slots__ = ()


class ReplyError(Exception):
    """An error reply; its text begins with the error's code."""


OK = Status(b"OK")


def as_bytes(reply: Any) -> bytes:
    """Return a reply in version 2 of the protocol."""
    match reply:
        case None:
            return b"$-1\r\n"
        case Status():
            return b"+%b\r\n" % bytes(reply)
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case ReplyError():
            return b"-%b\r\n" % str(reply).encode()
        case [*items]:
            return b"*%d\r\n%b" % (len(items), b"".join(map(as_bytes, items)))
        case _:
            raise TypeError(f"not a reply: {reply!r}")


def short(arguments: list[bytes]) -> str:
    """Return a shortened command for a message."""
    return b" ".join(one[:24] for one in arguments[:8]).decode("utf-8", "replace")


def short_reply(reply: Any) -> str:
    """Return a shortened reply for a message."""
    if isinstance(reply, list):
        return f"[{', '.join(short_reply(one) for one in reply[:4])}]"
    return reply.decode("utf-8", "replace")[:40] if isinstance(reply, bytes) else str(reply)[:90]
