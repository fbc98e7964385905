"""One process of many: how it is secured, started and ended."""

import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from sanctum_bus.ops.embedded.process import end, launch, wait_for_server
from tests.support.certificates import Certificates
from tests.support.servers import START_DEADLINE_S, ServerKind, free_port, require

#: Seconds that a machine with other work to do may take for a failover or a start.
PATIENCE_S = 30.0

#: The test's own user where servers have users.
ADMIN = ("admin", "test-admin")


@dataclass(frozen=True)
class Security:
    """How servers are secured.

    Args:
        tls: they speak nothing but TLS.
        users: an ACL file; they also get a user that may do everything, for the test itself.
        password: of the user `default`.
    """

    tls: Certificates | None = None
    users: Path | None = None
    password: str = ""

    @property
    def scheme(self) -> str:
        """What URLs begin with."""
        return "redis" if self.tls is None else "rediss"

    def options(self, home: Path, port: int) -> list[str]:
        """What a server is told."""
        found = ["--port", str(port)]
        if self.tls is not None:
            found = ["--port", "0", "--tls-port", str(port), *self.tls.options]
        if self.users is not None:
            user, password = ADMIN
            own = home / "users.acl"
            own.write_text(f"{self.users.read_text()}\nuser {user} on >{password} ~* &* +@all\n")
            found += ["--aclfile", str(own), "--masteruser", user, "--masterauth", password]
        if self.password:
            found += ["--requirepass", self.password]
        return found

    def url(self, scheme: str, where: str, user: str | None = None) -> str:
        """A URL for the test's own user, or for `name:password`; `scheme` is redis+cluster, say."""
        own = self.password and f":{self.password}"
        who = user or (own if self.users is None else ":".join(ADMIN))
        scheme = scheme.replace("redis", self.scheme, 1)
        query = "" if self.tls is None else f"?{self.tls.query}"
        return f"{scheme}://{who and f'{who}@'}{where}{query}"

    @property
    def keywords(self) -> dict[str, Any]:
        """How redis-py is told."""
        found: dict[str, Any] = {}
        if self.tls is not None:
            found |= {"ssl": True, "ssl_ca_certs": str(self.tls.ca)}
        if self.users is not None:
            found |= dict(zip(("username", "password"), ADMIN, strict=True))
        return found


OPEN = Security()


class Node:
    """One process among others, with a directory of its own; its data survives `kill` and `start`.

    Args:
        kind: which server.
        security: how it is secured.
        options: more of its own options.
    """

    def __init__(self, kind: ServerKind, security: Security, *options: str) -> None:
        self.kind = kind
        self.security = security
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="st-"))
        self._command: list[str | Path] = [
            require(kind),
            *(*security.options(self.home, self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.home), "--save", "", "--repl-diskless-sync-delay", "0", *options),
        ]
        self._clients: list[Redis] = []
        self.launch()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    @property
    def pid(self) -> int:
        """The process, alive or not."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def url(self) -> str:
        """For the test's own user."""
        return self.security.url("redis", f"127.0.0.1:{self.port}/0")

    def url_of(self, user: str) -> str:
        """For a user, as `name:password`."""
        return self.security.url("redis", f"127.0.0.1:{self.port}/0", user)

    def launch(self) -> None:
        """Start it, without waiting until it answers."""
        self._process = launch(self._command, self.home / "log")

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for_server(self._process, self.url, self.home / "log", START_DEADLINE_S)

    def client(self, *, socket_timeout: float = 10.0) -> Redis:
        """A client that never retries; it is closed with the node at the latest."""
        client = Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=socket_timeout)
        self._clients.append(client)
        return client

    def ask(self, *command: str | int) -> Any:
        """The reply to one command."""
        with self.client() as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        end(self._process)

    def close(self) -> None:
        """Kill it and remove its data."""
        while self._clients:
            self._clients.pop().close()
        self.kill()
        shutil.rmtree(self.home)


class TlsServer(Node):
    """One server that speaks TLS only.

    Args:
        kind: which server.
        security: with certificates.
        options: more of its own options; `--tls-auth-clients yes` asks clients for theirs.
    """

    def __init__(self, kind: ServerKind, security: Security, *options: str) -> None:
        super().__init__(kind, security, *options)
        self.wait()


class Together:
    """Nodes that were started together and end together."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def close(self) -> None:
        """Kill all and remove their data."""
        for node in self.nodes:
            node.close()


def follows(node: Node, master: Node) -> bool:
    """Whether a node is a replica of another one, and linked to it."""
    try:
        role = node.ask("ROLE")
    except (RedisError, OSError):
        return False
    return role[0] == b"slave" and int(role[2]) == master.port and role[3] == b"connected"


def text_of(raw: Any) -> str:
    """The text of a reply."""
    return raw.decode() if isinstance(raw, bytes) else str(raw)
