"""A Redis Cluster with three primaries."""

from collections.abc import Callable
from contextlib import suppress

from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.support.nodes import ADMIN, OPEN, PATIENCE_S, Deployment, Node, Security, text_of
from tests.support.servers import VALKEY_9, ServerKind
from tests.support.waiting import wait_until

#: Slots of a cluster.
SLOTS = 16_384


class Cluster(Deployment):
    """Three primaries that share the slots.

    Args:
        kind: the kind of server.
        options: further options of every node.
        security: TLS and users.
        replicas: number of replicas of each primary.
    """

    def __init__(
        self, kind: ServerKind = VALKEY_9, *options: str, security: Security = OPEN, replicas: int = 0
    ) -> None:
        super().__init__()
        self.kind = kind
        self.security = security
        self._clients: list[RedisCluster] = []
        cluster_options = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1500",
            "--cluster-replica-validity-factor",
            "0",
        )
        try:
            self.nodes += [
                Node(kind, security, *cluster_options, *options) for _ in range(3 * (1 + replicas))
            ]
            for node in self.nodes:
                node.wait()
            self._join(self.nodes[:3], self.nodes[3:])
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The URL for the administrator."""
        return self.url_of()

    def url_of(self, user: str | None = None) -> str:
        """Return the URL for a user, given as `name:password`."""
        return self.security.url(
            "redis+cluster", ",".join(f"127.0.0.1:{one.port}" for one in self.nodes), user
        )

    def client(self) -> RedisCluster:
        """Return a client that never retries; it is closed with the cluster at the latest."""
        client = RedisCluster(
            startup_nodes=[ClusterNode(*node.address) for node in self.nodes if node.is_alive],
            retry=Retry(NoBackoff(), 0),
            socket_timeout=10.0,
            **self.security.keywords,
        )
        self._clients.append(client)
        return client

    def masters(self) -> list[Node]:
        """Return the nodes that own slots, by their own reply."""
        return [node for node in self.nodes if node.is_alive and _owned_slots(node)]

    def owner(self, key: str) -> Node:
        """Return the node that owns the slot of a key, by its own reply."""
        slot = slot_of(key)
        return next(node for node in self.masters() if slot in _owned_slots(node))

    def other(self, key: str) -> Node:
        """Return a primary that does not own the slot of a key."""
        owner = self.owner(key)
        return next(node for node in self.masters() if node is not owner)

    def move_slot(
        self, key: str | int, target: Node | None = None, step: Callable[[str], object] | None = None
    ) -> Node:
        """Move a slot with its keys as operators do, and return its new owner.

        Args:
            key: a key of the slot, or the slot.
            target: the new owner; default: any other primary.
            step: called with `open` when the migration starts, `key` after each key, and `closed` at the end.
        """
        slot = slot_of(key)
        source = next(node for node in self.masters() if slot in _owned_slots(node))
        to = target or next(node for node in self.masters() if node is not source)
        notify = step or (lambda _: None)
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(to))
        notify("open")
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            auth = () if self.security.users is None else ("AUTH2", *ADMIN)
            source.ask("MIGRATE", *to.address, "", 0, 10_000, *auth, "KEYS", *keys)
            notify("key")
        for node in (to, source, *(one for one in self.masters() if one not in {to, source})):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", _id(to))
        notify("closed")
        return to

    def kill(self, node: Node) -> None:
        """Kill a node. If it has a replica, wait until the replica owns its slots."""
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
        """Wait until every running node reports the cluster state `ok`."""
        wait_until(
            lambda: all(_is_well(node) for node in self.nodes if node.is_alive),
            "the cluster state is ok",
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
    """Return the slot of a key; a slot is returned unchanged."""
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
