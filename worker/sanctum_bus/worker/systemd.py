"""Telling the service manager, where there is one, that this process lives: systemd's protocol, sd_notify(3)."""

import os
import socket
from contextlib import suppress

#: Names the socket of the service manager; systemd sets it for units of `Type=notify`.
SOCKET_VARIABLE = "NOTIFY_SOCKET"


def alive() -> None:
    """Say that the process is ready and its loop turns; without a service manager nothing is done.

    What it says counts as the watchdog's sign of life too. A manager that does not listen is no trouble of the worker.
    """
    _say(b"READY=1\nWATCHDOG=1")


def stopping() -> None:
    """Say that the process has been told to stop."""
    _say(b"STOPPING=1")


def _say(state: bytes) -> None:
    path = os.environ.get(SOCKET_VARIABLE, "")
    if not path.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.setblocking(False)
        # A name that begins with @ is in the abstract namespace, where the first byte is zero.
        out.sendto(state, f"\0{path[1:]}" if path.startswith("@") else path)
