"""Fixtures of real servers: started once per kind and process, and empty at the start of each test."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests import their helpers as `tests.support.waiting`, the only name that mypy has for them.
sys.path.insert(0, str(Path(__file__).parents[1]))

# A shell makes background processes ignore Ctrl-C, and commands that tests start would inherit this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from sanctum_bus.fold.state import State
from tests.support.servers import SUPPORTED, VALKEY_9, Server, ServerKind, StartServer, report

# Every fold in this process checks that handlers use only live fields while writes to a section are deferred.
State.checked = True


def pytest_report_header() -> list[str]:
    """Print the available servers, so that a skipped test has an explanation."""
    return report()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded."""
    for passed in terminalreporter.getreports("passed"):
        for name, text in passed.user_properties:
            if name == "figures":
                terminalreporter.write_line(text)


class SharedServers:
    """The servers of this process, each started at its first use."""

    def __init__(self) -> None:
        self._running: dict[str, Server] = {}

    def empty(self, kind: ServerKind) -> Server:
        """Return the server of one kind, without data."""
        if kind.name not in self._running:
            # No test kills or restarts these, so they need no append-only file.
            self._running[kind.name] = Server(kind, "--appendonly", "no")
        server = self._running[kind.name]
        with server.client() as client:
            client.flushall()
        return server

    def close(self) -> None:
        """Stop all servers."""
        for server in self._running.values():
            server.close()


@pytest.fixture(name="shared_servers", scope="session")
def _shared_servers() -> Iterator[SharedServers]:
    servers = SharedServers()
    yield servers
    servers.close()


@pytest.fixture(name="server", params=SUPPORTED, ids=lambda kind: kind.name)
def _server(request: pytest.FixtureRequest, shared_servers: SharedServers) -> Iterator[Server]:
    """Each supported server in turn. The test must not stop or reconfigure it."""
    server = shared_servers.empty(request.param)
    yield server
    server.close_clients()


@pytest.fixture(name="valkey")
def _valkey(shared_servers: SharedServers) -> Iterator[Server]:
    """One server, for tests that need one of any kind. The test must not stop or reconfigure it."""
    server = shared_servers.empty(VALKEY_9)
    yield server
    server.close_clients()


@pytest.fixture(name="redis_url")
def _redis_url(valkey: Server) -> str:
    """The URL of one empty server."""
    return valkey.url


@pytest.fixture(name="start_server")
def _start_server() -> Iterator[StartServer]:
    """Start servers that the test may configure, kill and restart; they end with the test."""
    started: list[Server] = []

    def start(kind: ServerKind = VALKEY_9, *options: str, port: int = 0) -> Server:
        started.append(Server(kind, *options, port=port))
        return started[-1]

    yield start
    for server in started:
        server.close()
