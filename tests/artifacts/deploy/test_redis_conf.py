"""`config/redis.conf` and the users: every supported server starts with them, and is what Sanctum needs."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from sanctum_bus.ops.embedded.process import end, launch, wait_for_server
from tests.support.deploy_files import DEPLOY
from tests.support.paths import ROOT
from tests.support.servers import START_DEADLINE_S, SUPPORTED, ServerKind, require
from tests.support.waiting import wait_until

CONF = ROOT / "config" / "redis.conf"
ACL = ROOT / "config" / "users.acl"
START_SERVER = DEPLOY / "server" / "start-server"
USERS = ("publisher", "worker", "reader")
PASSWORDS = {f"SANCTUM_{name.upper()}_PASSWORD": f"{name} & its own / $ecret #1" for name in USERS}


class Started(NamedTuple):
    """A server with a temporary directory."""

    home: Path
    process: Popen[bytes]

    def client(self, user: str | None = None, password: str | None = None) -> Redis:
        """A client of one user, which never retries."""
        return Redis(
            unix_socket_path=str(self.home / "s"),
            username=user,
            password=password,
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
        )

    def said(self) -> str:
        """Return its output since its start."""
        return (self.home / "log").read_text()


def options(home: Path) -> list[str]:
    """Return the options that differ from the file in a test: where it listens and writes."""
    return ["--port", "0", "--unixsocket", str(home / "s"), "--unixsocketperm", "700", "--dir", str(home)]


@pytest.fixture(name="home")
def _home() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="st-") as path:
        yield Path(path)


@pytest.fixture(name="start")
def _start(home: Path) -> Iterator[Callable[..., Started]]:
    """Start a command as a server that ends with the test."""
    started: list[Started] = []

    def start(*command: str | Path) -> Started:
        started.append(Started(home, launch([*command, *options(home)], home / "log")))
        return started[-1]

    yield start
    for one in started:
        end(one.process)


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
def test_every_supported_server_starts_with_the_file(
    kind: ServerKind, start: Callable[..., Started], home: Path
) -> None:
    """The file has no word that one of them does not know, and sets what nothing may be lost without."""
    server = start(require(kind), CONF)
    wait_for_server(server.process, f"unix://{home}/s", home / "log", START_DEADLINE_S)
    with server.client() as client:
        told = client.config_get(
            "appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "maxclients", "protected-mode"
        )

    assert told == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": str(2 << 30),
        "maxmemory-policy": "noeviction",
        "maxclients": "10000",
        "protected-mode": "yes",
    }


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
def test_users_get_their_passwords_from_the_environment(
    kind: ServerKind, start: Callable[..., Started], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`start-server` gives each user the password of its variable; that of the file opens nothing, and no one is default."""
    monkeypatch.setenv("TMPDIR", str(home))
    for name, password in {**PASSWORDS, "SANCTUM_REDIS_SERVER": str(require(kind))}.items():
        monkeypatch.setenv(name, password)
    server = start(START_SERVER, CONF, ACL)
    reader = PASSWORDS["SANCTUM_READER_PASSWORD"]
    wait_until(lambda: _answers(server, "reader", reader), f"the server answers: {server.said()}")

    for user in USERS:
        assert _answers(server, user, PASSWORDS[f"SANCTUM_{user.upper()}_PASSWORD"])
        with pytest.raises(AuthenticationError):
            server.client(user, f"change-me-{user}").ping()
    with pytest.raises(AuthenticationError):
        server.client().ping()


def _answers(server: Started, user: str, password: str) -> bool:
    try:
        with server.client(user, password) as client:
            return bool(client.ping())
    except RedisError:
        return False


@pytest.mark.parametrize("forgotten", sorted(PASSWORDS))
def test_a_forgotten_password_starts_no_server(
    forgotten: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a password variable is an error that names the variable, never a server with a known password."""
    monkeypatch.setenv("TMPDIR", str(home))
    for name, password in PASSWORDS.items():
        monkeypatch.setenv(name, "" if name == forgotten else password)
    monkeypatch.setenv("SANCTUM_REDIS_SERVER", "/bin/true")
    done = subprocess.run([START_SERVER, CONF, ACL], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"{forgotten} is not set" in done.stderr
    assert list(home.iterdir()) == []


def test_passwords_are_in_no_file_and_no_environment_of_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is handed sums alone, in a file that only its user may read."""
    told = home / "told"
    told.write_text('#!/bin/sh\nenv\nshift\nstat -c %a "$2"\ncat "$2"\n')
    told.chmod(0o700)
    monkeypatch.setenv("TMPDIR", str(home))
    for name, password in {**PASSWORDS, "SANCTUM_REDIS_SERVER": str(told)}.items():
        monkeypatch.setenv(name, password)
    done = subprocess.run([START_SERVER, CONF, ACL], capture_output=True, text=True, check=True)

    assert [password for password in PASSWORDS.values() if password in done.stdout] == []
    assert "change-me" not in done.stdout
    assert "\n600\n" in done.stdout
    assert done.stdout.count(" #") >= len(USERS)
