"""Notifications to systemd: readiness, watchdog and stop, by the protocol of sd_notify(3)."""

import os
import socket
from contextlib import suppress

#: The variable with the path of the notification socket; systemd sets it for units of `Type=notify`.
SOCKET_VARIABLE = "NOTIFY_SOCKET"


def notify_alive() -> None:
    """Notify systemd that the process is ready and its event loop makes progress; this also resets the watchdog.

    Without systemd, nothing is sent. Errors of the socket are ignored.
    """
    _send(b"READY=1\nWATCHDOG=1")


def notify_stopping() -> None:
    """Notify systemd that the process stops."""
    _send(b"STOPPING=1")


def _send(state: bytes) -> None:
    path = os.environ.get(SOCKET_VARIABLE, "")
    if not path.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.setblocking(False)
        # A name with @ is in the abstract namespace, where the first byte is zero.
        out.sendto(state, f"\0{path[1:]}" if path.startswith("@") else path)
