"""A master with replicas, watched by three sentinels."""

from collections.abc import Callable
from typing import Any, cast

from redis import Redis
from redis.exceptions import ResponseError

from sanctum_bus.ops.embedded.process import launch
from tests.support.nodes import ADMIN, OPEN, PATIENCE_S, Node, Security, Together, follows, text_of
from tests.support.servers import VALKEY_9, ServerKind
from tests.support.waiting import wait_until

#: What the sentinels call the master.
SERVICE = "nissa-master"


class Sentinels(Together):
    """A master with replicas, watched by three sentinels.

    Args:
        kind: which server.
        security: how master, replicas and sentinels are secured; sentinels have no users.
        replicas: how many.
        password: of the sentinels.
        options: more options of master and replicas.
        down_after_ms: silence after which a sentinel believes that a server is down.
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
        """For the test's own user."""
        return self.url_of()

    def url_of(self, user: str | None = None) -> str:
        """For a user, as `name:password`."""
        where = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        url = self.security.url("redis+sentinel", f"{where}/{SERVICE}/0", user)
        password = self.sentinel_security.password
        return url + (password and f"{'&' if '?' in url else '?'}sentinel_password={password}")

    def master(self) -> Node:
        """Whom the sentinels call the master."""
        for sentinel in self.sentinels:
            if sentinel.is_alive:
                found = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
                return next(node for node in self.servers if node.port == int(found[1]))
        raise AssertionError("no sentinel is alive")

    def client(self) -> Redis:
        """A client of the master of this moment."""
        return self.master().client()

    def kill_master(self) -> Node:
        """Kill the master, wait until another one is promoted, and return that."""
        old = self.master()
        old.kill()
        return self._promoted(old)

    def failover(self, *, coordinated: bool = False) -> Node:
        """Let the sentinels promote a replica of a healthy master, wait for it, and return it.

        A sentinel that is not elected in time gives up for good: it is asked again.

        Args:
            coordinated: no write is lost; Valkey 9 alone can do it.
        """
        old = self.master()
        first = self.sentinels[0]
        words = ("COORDINATED",) if coordinated else ()

        def begin() -> None:
            # One reply, so that a failover that ends between two looks is not answered with another one back.
            view = _flat(first.ask("SENTINEL", "MASTER", SERVICE))
            if int(view["port"]) == old.port and "failover_in_progress" not in view["flags"]:
                _begins(first, "SENTINEL", "FAILOVER", SERVICE, *words)

        return self._promoted(old, begin)

    def is_settled(self) -> bool:
        """Whether every sentinel knows every living server and may vote, and every replica follows the master."""
        master = self.master()
        alive = [node for node in self.servers if node.is_alive]
        views = [_flat(one.ask("SENTINEL", "MASTER", SERVICE)) for one in self.sentinels]
        known = all(
            view["num-other-sentinels"] == "2" and int(view["num-slaves"]) >= len(alive) - 1 for view in views
        )
        # To know of each other is not to be connected, and who is not connected is not asked for a vote.
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
        # Sentinels that begin before the replicas have joined would find them only ten seconds later.
        wait_until(
            lambda: all(follows(node, first) for node in self.servers[1:]),
            "the replicas joined",
            PATIENCE_S,
        )
        self.sentinels = [_Sentinel(self, first.port, self._down_after_ms) for _ in range(3)]
        self.nodes += self.sentinels
        for sentinel in self.sentinels:
            sentinel.wait()
            # How often sentinels introduce themselves to each other: they need not be waited for then.
            sentinel.ask("SENTINEL", "DEBUG", "PUBLISH-PERIOD", 200)
            # A sentinel that a busy machine let wait for two seconds does nothing for the next thirty.
            sentinel.ask("SENTINEL", "DEBUG", "TILT-PERIOD", 1_000)
        wait_until(self.is_settled, "the sentinels know each other", PATIENCE_S)


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
        # Sentinels write what they learn into their file, so that it has to be one.
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
    """A map, however the client shapes it."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {text_of(name): text_of(value) for name, value in pairs}
