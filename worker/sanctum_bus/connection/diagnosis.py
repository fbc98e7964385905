"""Which trouble will not pass: a server that has to be asked in another way, or is too old."""

import socket
import ssl
from contextlib import suppress
from typing import Any

from redis.exceptions import AuthenticationError, ResponseError

from sanctum_bus.connection.url import Address, Target, redacted
from sanctum_bus.errors import ConfigurationError, ServerTooOld

_PROBE = "#!lua flags=no-writes\nreturn redis.call('PING').ok"

#: What a server is asked before anything else: a script with flags in a read-only call, new in Redis 7.0.
PROBE = ("EVAL_RO", _PROBE, 0)

#: Seconds that a server has to show what it speaks.
_LOOK_S = 1.0

# A connection that was cut while it was made: that passes.
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def refuse_old(error: ResponseError, info: dict[str, Any]) -> ServerTooOld:
    """Return the refusal of a server that failed the probe."""
    found = info.get("valkey_version") or info.get("redis_version") or "of unknown version"
    return ServerTooOld(
        f"the server ({found}) is too old: Sanctum needs Redis 7.0 or Valkey 8, or newer ({error})"
    )


def permanent_error(error: BaseException, target: Target, url: str) -> ConfigurationError | None:
    """Return what has to be corrected where a server could not be asked, or None for trouble that may pass.

    It may ask the server what it speaks, and take a few seconds for it.
    """
    reasons = _reasons(error)
    where = redacted(url)
    if any(isinstance(reason, AuthenticationError) for reason in reasons):
        return ConfigurationError(f"the server at {where} refuses the credentials of the URL: {error}")
    if any(isinstance(reason, ssl.SSLError) and not isinstance(reason, _CUT) for reason in reasons):
        return ConfigurationError(
            f"no TLS with the server at {where}: {error}; ssl_ca_certs names the authority's certificate, "
            "ssl_certfile and ssl_keyfile your own where the server asks for it"
        )
    if isinstance(error, ResponseError):
        return None
    wants_tls = target.asking.startswith("rediss:")
    for seed in target.seeds:
        speaks = speaks_tls(seed)
        if speaks is not None and speaks is not wants_tls:
            words = ("speaks TLS", "rediss") if speaks else ("speaks no TLS", "redis")
            return ConfigurationError(
                f"{seed} {words[0]}, but the URL is {where}: it should begin with {words[1]}"
            )
    return None


def _reasons(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def speaks_tls(address: Address) -> bool | None:
    """Whether what listens there speaks TLS; None where it says nothing that tells."""
    with suppress(OSError), socket.create_connection(address, _LOOK_S) as plain:
        plain.sendall(b"PING\r\n")
        if plain.recv(1) in {b"+", b"-"}:
            return False
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection(address, _LOOK_S) as plain,
        context.wrap_socket(plain) as secure,
    ):
        return secure.version() is not None
    return None
