"""A server process of a deployment: its security, start and end."""

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

#: Seconds that a busy machine may take for a failover or a start.
PATIENCE_S = 30.0

#: User and password of the administrator, if servers have users.
ADMIN = ("admin", "test-admin")


@dataclass(frozen=True)
class Security:
    """TLS and users of servers.

    Args:
        tls: certificates; with them, servers accept TLS only.
        users: an ACL file. Servers also get an administrator with all rights, for the test.
        password: password of the user `default`.
    """

    tls: Certificates | None = None
    users: Path | None = None
    password: str = ""

    @property
    def scheme(self) -> str:
        """The scheme of URLs."""
        return "redis" if self.tls is None else "rediss"

    def options(self, home: Path, port: int) -> list[str]:
        """Return the command-line options of a server."""
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
        """Return a URL.

        Args:
            scheme: the scheme without TLS, such as `redis+cluster`.
            where: hosts, ports and path.
            user: `name:password`; default: the administrator.
        """
        own = self.password and f":{self.password}"
        who = user or (own if self.users is None else ":".join(ADMIN))
        scheme = scheme.replace("redis", self.scheme, 1)
        query = "" if self.tls is None else f"?{self.tls.query}"
        return f"{scheme}://{who and f'{who}@'}{where}{query}"

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments for redis-py."""
        found: dict[str, Any] = {}
        if self.tls is not None:
            found |= {"ssl": True, "ssl_ca_certs": str(self.tls.ca)}
        if self.users is not None:
            found |= dict(zip(("username", "password"), ADMIN, strict=True))
        return found


OPEN = Security()


class Node:
    """One process, with a separate directory. Its data survives `kill` and `launch`.

    Args:
        kind: the kind of server.
        security: TLS and users.
        options: further command-line options.
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
        """The process ID, also after its end."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def url(self) -> str:
        """The URL for the administrator."""
        return self.security.url("redis", f"127.0.0.1:{self.port}/0")

    def url_of(self, user: str) -> str:
        """Return the URL for a user, given as `name:password`."""
        return self.security.url("redis", f"127.0.0.1:{self.port}/0", user)

    def launch(self) -> None:
        """Start the process, without waiting for its first reply."""
        self._process = launch(self._command, self.home / "log")

    def wait(self) -> None:
        """Wait for the first reply."""
        wait_for_server(self._process, self.url, self.home / "log", START_DEADLINE_S)

    def client(self, *, socket_timeout: float = 10.0) -> Redis:
        """Return a client that never retries; it is closed with the node at the latest."""
        client = Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=socket_timeout)
        self._clients.append(client)
        return client

    def ask(self, *command: str | int) -> Any:
        """Return the reply to one command."""
        with self.client() as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Stop the process in good order."""
        end(self._process)

    def close(self) -> None:
        """Kill the process and remove its data."""
        while self._clients:
            self._clients.pop().close()
        self.kill()
        shutil.rmtree(self.home)


class TlsServer(Node):
    """One server that accepts TLS only.

    Args:
        kind: the kind of server.
        security: certificates, and users.
        options: further options; `--tls-auth-clients yes` requires certificates of clients.
    """

    def __init__(self, kind: ServerKind, security: Security, *options: str) -> None:
        super().__init__(kind, security, *options)
        self.wait()


class Deployment:
    """Nodes that are started and stopped together."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def close(self) -> None:
        """Kill all nodes and remove their data."""
        for node in self.nodes:
            node.close()


def follows(node: Node, master: Node) -> bool:
    """Return whether a node is a connected replica of another one."""
    try:
        role = node.ask("ROLE")
    except (RedisError, OSError):
        return False
    return role[0] == b"slave" and int(role[2]) == master.port and role[3] == b"connected"


def text_of(raw: Any) -> str:
    """Return a reply as text."""
    return raw.decode() if isinstance(raw, bytes) else str(raw)
