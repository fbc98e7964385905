"""A worker reports to its service manager in systemd's protocol, over a real socket."""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanctum_bus.worker import systemd
from sanctum_bus.worker.registry import Registry
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker
from tests.support.commands import DEADLINE_S, environment, start
from tests.support.servers import Server, free_port

ALIVE = b"READY=1\nWATCHDOG=1"


@pytest.fixture(name="manager")
def _manager() -> Iterator[socket.socket]:
    """Systemd's side: a datagram socket. Its address is the path."""
    with (
        tempfile.TemporaryDirectory(prefix="st-") as home,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening,
    ):
        listening.bind(str(Path(home) / "n"))
        listening.settimeout(DEADLINE_S)
        yield listening


def told(manager: socket.socket) -> list[bytes]:
    """Return every message that has arrived and was not read."""
    manager.setblocking(False)
    found = []
    try:
        while True:
            found.append(manager.recv(1024))
    except BlockingIOError:
        return found


def test_a_worker_is_ready_stays_alive_and_says_that_it_stops(valkey: Server, manager: socket.socket) -> None:
    """Signs of life come for as long as the loop turns, and the last word is that it stops."""
    process = start(
        "worker",
        env=environment(valkey.url, NOTIFY_SOCKET=manager.getsockname(), SANCTUM_HEARTBEAT_INTERVAL_S="0.05"),
    )
    try:
        assert [manager.recv(1024) for _ in range(5)] == [ALIVE] * 5
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
        process.communicate()

    last = told(manager)[-1]
    assert last == b"STOPPING=1"


def test_a_worker_that_waits_for_its_server_lives(manager: socket.socket) -> None:
    """If the server is unavailable, the worker still reports to the watchdog, so systemd does not restart it."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    process = start(
        "worker",
        env=environment(url, NOTIFY_SOCKET=manager.getsockname(), SANCTUM_HEARTBEAT_INTERVAL_S="0.05"),
    )
    try:
        assert [manager.recv(1024) for _ in range(3)] == [ALIVE] * 3
    finally:
        process.kill()
        process.communicate()


def test_a_worker_whose_loop_hangs_says_nothing(
    valkey: Server, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign of life comes from the loop that gives out the runs: while that hangs, others that turn do not count."""
    monkeypatch.setenv(systemd.SOCKET_VARIABLE, manager.getsockname())
    scans = 0

    async def scan(_: Registry) -> set[str]:
        nonlocal scans
        scans += 1
        return set()

    async def hang(_: Worker) -> None:
        while scans < 5:  # noqa: ASYNC110  # the other loop is what is waited for
            await asyncio.sleep(0)
        raise EOFError

    monkeypatch.setattr(Registry, "scan", scan)
    monkeypatch.setattr(Worker, "_discover", hang)
    worker = Worker(load(redis_url=valkey.url, heartbeat_interval_s=0.01, scan_interval_s=0.01))
    with pytest.raises(EOFError):
        asyncio.run(asyncio.wait_for(worker.run(), DEADLINE_S))

    # One before the first request, one before the turn that hangs.
    assert told(manager) == [ALIVE, ALIVE, b"STOPPING=1"]


@pytest.mark.parametrize("variable", ["", "/nonexistent/notify", "@nobody-listens-here", "vsock:2:1"])
def test_a_manager_that_is_not_there_is_no_trouble(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a manager, or with one that has gone, nothing is raised."""
    monkeypatch.setenv(systemd.SOCKET_VARIABLE, variable)

    systemd.notify_alive()
    systemd.notify_stopping()


def test_an_abstract_name_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with @ is one without a file, as containers have it (Linux)."""
    name = f"sanctum-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(DEADLINE_S)
        monkeypatch.setenv(systemd.SOCKET_VARIABLE, f"@{name}")
        systemd.notify_alive()

        assert listening.recv(1024) == ALIVE


def test_a_manager_that_does_not_read_holds_nobody_up(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the socket's queue is full, the worker continues without a message."""
    monkeypatch.setenv(systemd.SOCKET_VARIABLE, manager.getsockname())

    for _ in range(2000):
        systemd.notify_alive()

    assert set(told(manager)) == {ALIVE}
