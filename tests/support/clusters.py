"""Three masters that share the slots of a Redis Cluster."""

from collections.abc import Callable
from contextlib import suppress

from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.support.nodes import ADMIN, OPEN, PATIENCE_S, Node, Security, Together, text_of
from tests.support.servers import VALKEY_9, ServerKind
from tests.support.waiting import wait_until

#: Slots of a cluster.
SLOTS = 16_384


class Cluster(Together):
    """Three masters that share the slots.

    Args:
        kind: which server.
        options: more options of every node.
        security: how they are secured.
        replicas: of each master.
    """

    def __init__(
        self, kind: ServerKind = VALKEY_9, *options: str, security: Security = OPEN, replicas: int = 0
    ) -> None:
        super().__init__()
        self.kind = kind
        self.security = security
        self._clients: list[RedisCluster] = []
        told = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1500",
            "--cluster-replica-validity-factor",
            "0",
        )
        try:
            self.nodes += [Node(kind, security, *told, *options) for _ in range(3 * (1 + replicas))]
            for node in self.nodes:
                node.wait()
            self._join(self.nodes[:3], self.nodes[3:])
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """For the test's own user."""
        return self.url_of()

    def url_of(self, user: str | None = None) -> str:
        """For a user, as `name:password`."""
        return self.security.url(
            "redis+cluster", ",".join(f"127.0.0.1:{one.port}" for one in self.nodes), user
        )

    def client(self) -> RedisCluster:
        """A client that never retries by itself; it is closed with the cluster at the latest."""
        client = RedisCluster(
            startup_nodes=[ClusterNode(*node.address) for node in self.nodes if node.is_alive],
            retry=Retry(NoBackoff(), 0),
            socket_timeout=10.0,
            **self.security.keywords,
        )
        self._clients.append(client)
        return client

    def masters(self) -> list[Node]:
        """The nodes that own slots, each asked about itself."""
        return [node for node in self.nodes if node.is_alive and _owned_slots(node)]

    def owner(self, key: str) -> Node:
        """The node that owns a key's slot, as it says itself."""
        slot = slot_of(key)
        return next(node for node in self.masters() if slot in _owned_slots(node))

    def other(self, key: str) -> Node:
        """A master that does not own a key's slot."""
        owner = self.owner(key)
        return next(node for node in self.masters() if node is not owner)

    def move_slot(
        self, key: str | int, target: Node | None = None, step: Callable[[str], object] | None = None
    ) -> Node:
        """Move a slot with its keys as operators do it, and return whom it belongs to then.

        Args:
            key: whose slot; or the slot.
            target: where to; else to any other master.
            step: is told `open` when the slot is on the move, `key` after each key that went, and `closed` at the end.
        """
        slot = slot_of(key)
        source = next(node for node in self.masters() if slot in _owned_slots(node))
        to = target or next(node for node in self.masters() if node is not source)
        tell = step or (lambda _: None)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(to))
        tell("open")
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            auth = () if self.security.users is None else ("AUTH2", *ADMIN)
            source.ask("MIGRATE", *to.address, "", 0, 10_000, *auth, "KEYS", *keys)
            tell("key")
        for node in (to, source, *(one for one in self.masters() if one not in {to, source})):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", _id(to))
        tell("closed")
        return to

    def kill(self, node: Node) -> None:
        """Kill a node, and wait until its slots belong to somebody again, where it has a replica."""
        slots = _owned_slots(node)
        watched = any(
            slots and _master_of(one) == _id(node) for one in self.nodes if one is not node and one.is_alive
        )
        node.kill()
        if watched:
            wait_until(
                lambda: any(_owned_slots(one) & slots for one in self.nodes if one.is_alive),
                "a replica was promoted",
                PATIENCE_S,
            )
            self.wait()

    def wait(self) -> None:
        """Wait until every living node says that all is well."""
        wait_until(
            lambda: all(_is_well(node) for node in self.nodes if node.is_alive),
            "the cluster is well",
            PATIENCE_S,
        )

    def close(self) -> None:
        """Kill all nodes and remove their data."""
        while self._clients:
            with suppress(RedisError, OSError):
                self._clients.pop().close()
        super().close()

    def _join(self, masters: list[Node], replicas: list[Node]) -> None:
        bounds = [SLOTS * number // len(masters) for number in range(len(masters) + 1)]
        for number, node in enumerate(masters):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", *node.address)
        everyone = {_id(node) for node in self.nodes}
        wait_until(lambda: all(_knows(node) >= everyone for node in self.nodes), "the nodes met", PATIENCE_S)
        for number, node in enumerate(replicas):
            node.ask("CLUSTER", "REPLICATE", _id(masters[number % len(masters)]))
        self.wait()
        wait_until(lambda: all(_is_linked(node) for node in replicas), "the replicas joined", PATIENCE_S)


def slot_of(key: str | int) -> int:
    """The slot of a key, or a slot itself."""
    return key if isinstance(key, int) else key_slot(key.encode())


def _id(node: Node) -> str:
    return text_of(node.ask("CLUSTER", "MYID"))


def _rows(node: Node) -> list[list[str]]:
    return [line.split() for line in text_of(node.ask("CLUSTER", "NODES")).splitlines()]


def _knows(node: Node) -> set[str]:
    return {row[0] for row in _rows(node) if "handshake" not in row[2] and row[7] == "connected"}


def _own_row(node: Node) -> list[str]:
    return next(row for row in _rows(node) if "myself" in row[2])


def _owned_slots(node: Node) -> set[int]:
    found: set[int] = set()
    for part in _own_row(node)[8:]:
        if not part.startswith("["):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return found


def _master_of(node: Node) -> str:
    return _own_row(node)[3]


def _is_linked(node: Node) -> bool:
    role = node.ask("ROLE")
    return bool(role[0] == b"slave" and role[3] == b"connected")


def _is_well(node: Node) -> bool:
    return "cluster_state:ok" in text_of(node.ask("CLUSTER", "INFO"))
