"""Errors that retrying cannot cure: a wrong scheme, wrong credentials, a server that is too old."""

import socket
import ssl
from contextlib import suppress
from typing import Any

from redis.exceptions import AuthenticationError, ResponseError

from sanctum_bus.connection.url import Address, Target, redacted
from sanctum_bus.errors import ConfigurationError, ServerTooOld

_PROBE = "#!lua flags=no-writes\nreturn redis.call('PING').ok"

#: The first command to a server: a script with flags in a read-only call, new in Redis 7.0.
PROBE = ("EVAL_RO", _PROBE, 0)

#: Seconds that a server has to show its protocol.
_PROTOCOL_TIMEOUT_S = 1.0

# Errors of a connection that was cut during the handshake. They can pass.
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def refuse_old(error: ResponseError, info: dict[str, Any]) -> ServerTooOld:
    """Return the error for a server that failed the probe.

    Args:
        error: its reply to the probe.
        info: its reply to INFO.
    """
    found = info.get("valkey_version") or info.get("redis_version") or "of unknown version"
    return ServerTooOld(
        f"the server ({found}) is too old: Sanctum requires Redis 7.0 or Valkey 8, or newer ({error})"
    )


def permanent_error(error: BaseException, target: Target, url: str) -> ConfigurationError | None:
    """Return the error that the user has to correct, or None if the failure can pass.

    It may open connections to the servers to find out whether they use TLS, for a few seconds.

    Args:
        error: the failure of a command or a connection.
        target: the servers.
        url: their URL, for the message.
    """
    reasons = _reasons(error)
    where = redacted(url)
    if any(isinstance(reason, AuthenticationError) for reason in reasons):
        return ConfigurationError(f"the server at {where} rejected the credentials of the URL: {error}")
    if any(isinstance(reason, ssl.SSLError) and not isinstance(reason, _CUT) for reason in reasons):
        return ConfigurationError(
            f"TLS with the server at {where} failed: {error}. Set ssl_ca_certs to the certificate of its authority, "
            "and ssl_certfile and ssl_keyfile to your own if the server requires one"
        )
    if isinstance(error, ResponseError):
        return None
    expects_tls = target.scheme == "rediss"
    for seed in target.seeds:
        speaks = speaks_tls(seed)
        if speaks is not None and speaks is not expects_tls:
            fact, scheme = ("requires TLS", "rediss") if speaks else ("does not use TLS", "redis")
            return ConfigurationError(f"{seed} {fact}, but the URL is {where}: use {scheme}:// instead")
    return None


def _reasons(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def speaks_tls(address: Address) -> bool | None:
    """Return whether a server uses TLS; None if it could not be determined."""
    with suppress(OSError), socket.create_connection(address, _PROTOCOL_TIMEOUT_S) as plain:
        plain.sendall(b"PING\r\n")
        if plain.recv(1) in {b"+", b"-"}:
            return False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection(address, _PROTOCOL_TIMEOUT_S) as plain,
        context.wrap_socket(plain) as secure,
    ):
        return secure.version() is not None
    return None
