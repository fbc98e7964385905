"""A Sentinel deployment: a primary with replicas, and three sentinels."""

from collections.abc import Callable
from typing import Any, cast

from redis import Redis
from redis.exceptions import ResponseError

from sanctum_bus.ops.embedded.process import launch
from tests.support.nodes import ADMIN, OPEN, PATIENCE_S, Deployment, Node, Security, follows, text_of
from tests.support.servers import VALKEY_9, ServerKind
from tests.support.waiting import wait_until

#: The name of the Sentinel service.
SERVICE = "nissa-master"


class Sentinels(Deployment):
    """A primary with replicas, and three sentinels.

    Args:
        kind: the kind of server.
        security: TLS and users; sentinels have no users.
        replicas: number of replicas.
        password: password of the sentinels.
        options: further options of primary and replicas.
        down_after_ms: milliseconds without a reply after which a sentinel marks a server as down.
    """

    def __init__(
        self,
        kind: ServerKind = VALKEY_9,
        *options: str,
        security: Security = OPEN,
        replicas: int = 2,
        password: str = "",
        down_after_ms: int = 500,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.security = security
        self.sentinel_security = Security(security.tls, password=password)
        self._down_after_ms = down_after_ms
        try:
            self._start(replicas, options)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The URL for the administrator."""
        return self.url_of()

    def url_of(self, user: str | None = None) -> str:
        """Return the URL for a user, given as `name:password`."""
        where = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        url = self.security.url("redis+sentinel", f"{where}/{SERVICE}/0", user)
        password = self.sentinel_security.password
        return url + (password and f"{'&' if '?' in url else '?'}sentinel_password={password}")

    def master(self) -> Node:
        """Return the primary that the sentinels name."""
        for sentinel in self.sentinels:
            if sentinel.is_alive:
                found = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
                return next(node for node in self.servers if node.port == int(found[1]))
        raise AssertionError("no sentinel is alive")

    def client(self) -> Redis:
        """Return a client of the current primary."""
        return self.master().client()

    def kill_master(self) -> Node:
        """Kill the primary, wait for a promotion, and return the new primary."""
        old = self.master()
        old.kill()
        return self._promoted(old)

    def failover(self, *, coordinated: bool = False) -> Node:
        """Promote a replica while the primary is healthy, and return the new primary.

        A sentinel that is not elected in time gives up, so the command is repeated.

        Args:
            coordinated: lose no write; only Valkey 9 supports this.
        """
        old = self.master()
        first = self.sentinels[0]
        words = ("COORDINATED",) if coordinated else ()

        def begin() -> None:
            # One reply for both facts: a failover that ends between two queries must not start another one back.
            view = _flat(first.ask("SENTINEL", "MASTER", SERVICE))
            if int(view["port"]) == old.port and "failover_in_progress" not in view["flags"]:
                _begins(first, "SENTINEL", "FAILOVER", SERVICE, *words)

        return self._promoted(old, begin)

    def is_settled(self) -> bool:
        """Return whether every sentinel has found every running server and can vote, and every replica is connected."""
        master = self.master()
        alive = [node for node in self.servers if node.is_alive]
        views = [_flat(one.ask("SENTINEL", "MASTER", SERVICE)) for one in self.sentinels]
        known = all(
            view["num-other-sentinels"] == "2" and int(view["num-slaves"]) >= len(alive) - 1 for view in views
        )
        # Sentinels that found each other need not be connected, and a sentinel without a connection gets no vote.
        others = [_flat(one) for node in self.sentinels for one in node.ask("SENTINEL", "SENTINELS", SERVICE)]
        may_vote = all("disconnected" not in one["flags"] for one in others)
        return known and may_vote and all(follows(node, master) for node in alive if node is not master)

    def _promoted(self, old: Node, begin: Callable[[], None] = lambda: None) -> Node:
        def done() -> Node | None:
            begin()
            now = self.master()
            return now if now is not old and cast("Any", now.ask("ROLE"))[0] == b"master" else None

        found = wait_until(done, "a replica was promoted", PATIENCE_S)
        assert found is not None
        return found

    def _start(self, replicas: int, options: tuple[str, ...]) -> None:
        first = Node(self.kind, self.security, *options)
        self.servers = [first]
        self.nodes.append(first)
        for _ in range(replicas):
            self.servers.append(
                Node(self.kind, self.security, "--replicaof", "127.0.0.1", str(first.port), *options)
            )
            self.nodes.append(self.servers[-1])
        for node in self.servers:
            node.wait()
        # Sentinels that start before the replicas have joined find them only ten seconds later.
        wait_until(
            lambda: all(follows(node, first) for node in self.servers[1:]),
            "the replicas joined",
            PATIENCE_S,
        )
        self.sentinels = [_Sentinel(self, first.port, self._down_after_ms) for _ in range(3)]
        self.nodes += self.sentinels
        for sentinel in self.sentinels:
            sentinel.wait()
            # The interval at which sentinels announce themselves. With the default, the test would wait longer.
            sentinel.ask("SENTINEL", "DEBUG", "PUBLISH-PERIOD", 200)
            # By default, a sentinel that a busy machine delayed for two seconds does nothing for the next thirty.
            sentinel.ask("SENTINEL", "DEBUG", "TILT-PERIOD", 1_000)
        wait_until(self.is_settled, "the sentinels found each other", PATIENCE_S)


class _Sentinel(Node):
    def __init__(self, watching: Sentinels, master: int, down_after_ms: int) -> None:
        self._lines = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} 2",
            f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}",
            f"sentinel failover-timeout {SERVICE} 6000",
        ]
        if watching.security.users is not None:
            user, password = ADMIN
            self._lines += [
                f"sentinel auth-user {SERVICE} {user}",
                f"sentinel auth-pass {SERVICE} {password}",
            ]
        super().__init__(watching.kind, watching.sentinel_security)

    def launch(self) -> None:
        # Sentinels rewrite their configuration file, so they need one.
        options = [str(item) for item in self._command[1:]]
        given = dict(zip(options[::2], options[1::2], strict=True))
        kept = {
            name: value
            for name, value in given.items()
            if name not in {"--save", "--repl-diskless-sync-delay"}
        }
        lines = [f"{name.removeprefix('--')} {value}" for name, value in kept.items()]
        path = self.home / "sentinel.conf"
        path.write_text("\n".join([*lines, *self._lines]) + "\n")
        self._process = launch([self._command[0], str(path), "--sentinel"], self.home / "log")


def _begins(node: Node, *command: str) -> None:
    try:
        node.ask(*command)
    except ResponseError as error:
        if "INPROG" not in str(error) and "NOGOODSLAVE" not in str(error):
            raise


def _flat(reply: Any) -> dict[str, str]:
    """Return a reply as a map, in both protocols."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {text_of(name): text_of(value) for name, value in pairs}
