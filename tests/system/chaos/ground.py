"""The servers that a chaos run happens on, and what may befall them.

Standalone   one server behind a proxy, with an append-only file: the network, restarts, a lost tail
Failover     a master with replicas and Sentinels: a failover, a master that is killed
Slots        a Redis Cluster: slots that move while they are written to
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Protocol, cast

from redis import Redis

from sanctum_bus.connection import connect
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys
from tests.support.servers import VALKEY_9, Server, free_port
from tests.support.topologies import Cluster, Node, Sentinels
from tests.support.waiting import wait_until
from tests.system.chaos.proxy import Proxy
from tests.system.chaos.schedule import Kind

#: Bytes at the end of the append-only file that may be gone after a crash of the machine.
_TAIL_BYTES = 300_000

#: Seconds that servers have to find each other again.
_PATIENCE_S = 60.0

#: Seconds that a piece is held up by a slow network.
_SLOW_S = (0.02, 0.4)


class Ground(Protocol):
    """The servers of a chaos run.

    Attributes:
        url: the URL for workers and training processes.
        lost_by_server: acknowledged events that the server lost; None if the number is unknown.
    """

    url: str
    lost_by_server: int | None

    def kinds(self) -> dict[str, Kind]:
        """Return the mishaps that can happen to it."""
        ...

    def client(self) -> Redis:
        """A client for those who look on, past everything that is broken on purpose."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


class Standalone:
    """One server behind a proxy."""

    def __init__(self) -> None:
        self._server = Server(VALKEY_9, "--appendfsync", "everysec", port=free_port())
        self._proxy = Proxy(self._server.port)
        self.url = f"redis://127.0.0.1:{self._proxy.port}/0"
        self.lost_by_server: int | None = 0

    def kinds(self) -> dict[str, Kind]:
        """A bad network, and a server that is killed and comes back with its append-only file."""
        return {
            "connections cut": Kind(self._cut),
            "network slow": Kind(self._slow, 1.0, 3.0),
            "network stalled": Kind(self._stalled, 0.5, 6.5),
            "replies swallowed": Kind(self._swallowed, 0.3, 1.0),
            "server killed and restarted": Kind(self._restarted),
            "server killed, tail of its file lost": Kind(self._shortened),
        }

    def client(self) -> Redis:
        """A client that does not go through the proxy."""
        return self._server.client(socket_timeout=2.0)

    def close(self) -> None:
        """Leave nothing behind."""
        self._proxy.close()
        self._server.close()

    def _cut(self, chance: Random) -> Callable[[], object]:
        self._proxy.cut(chance, chance.choice([0.3, 1.0]))
        return _nothing

    def _slow(self, chance: Random) -> Callable[[], object]:
        self._proxy.delay(chance.uniform(*_SLOW_S))
        return lambda: self._proxy.delay(0.0)

    def _stalled(self, _: Random) -> Callable[[], object]:
        self._proxy.stall(stalled=True)
        return lambda: self._proxy.stall(stalled=False)

    def _swallowed(self, _: Random) -> Callable[[], object]:
        self._proxy.swallow(swallowing=True)
        return lambda: self._proxy.swallow(swallowing=False)

    def _restarted(self, _: Random) -> Callable[[], object]:
        self._crash(0)
        return _nothing

    def _shortened(self, chance: Random) -> Callable[[], object]:
        self._crash(chance.randrange(_TAIL_BYTES))
        return _nothing

    def _crash(self, tail: int) -> None:
        """Kill the server, remove bytes from the end of its file, and start it again.

        Acknowledged events are counted before and after; meanwhile no client receives an acknowledgment.
        """
        self._proxy.stall(stalled=True)
        before = self._added()
        self._server.kill()
        _shorten(self._server.home / "appendonlydir", tail)
        self._server.start()
        after = self._added()
        self._proxy.stall(stalled=False)
        assert self.lost_by_server is not None
        self.lost_by_server += sum(max(0, added - after.get(key, 0)) for key, added in before.items())

    def _added(self) -> dict[bytes, int]:
        with self.client() as client:
            streams = list(client.scan_iter(match="nissa:*:events", count=1000, _type="stream"))
            return {key: cast("Any", client.xinfo_stream(key))["entries-added"] for key in streams}


class Failover:
    """A master with replicas, and Sentinels."""

    def __init__(self) -> None:
        self._sentinels = Sentinels()
        self._clients: list[Redis] = []
        self._dead: list[Node] = []
        self.url = self._sentinels.url
        self.lost_by_server: int | None = None

    def kinds(self) -> dict[str, Kind]:
        """A failover on demand, and one after the master's death."""
        return {
            "failover": Kind(self._failed_over),
            "master killed": Kind(self._killed, 3.0, 5.0),
        }

    def client(self) -> Redis:
        """Return a client that follows the primary: the old one replies for a while with old data."""
        self._clients.append(connect(self.url, timeout_s=2.0))
        return self._clients[-1]

    def close(self) -> None:
        """Leave nothing behind."""
        for client in self._clients:
            client.close()
        self._sentinels.close()

    def _failed_over(self, _: Random) -> Callable[[], object]:
        self._settle()
        self._sentinels.failover()
        return _nothing

    def _killed(self, _: Random) -> Callable[[], object]:
        self._settle()
        self._dead.append(self._sentinels.master())
        self._sentinels.kill_master()
        return self._revive

    def _revive(self) -> None:
        while self._dead:
            self._dead.pop().launch()

    def _settle(self) -> None:
        # The next primary must have followed this one.
        self._revive()
        wait_until(self._sentinels.is_settled, "every replica follows the master", _PATIENCE_S)


class Slots:
    """A Redis Cluster of three masters.

    Args:
        runs: those whose slots may move.
    """

    def __init__(self, runs: list[str]) -> None:
        self._cluster = Cluster()
        self._keys = [RunKeys(run).events for run in runs]
        self.url = self._cluster.url
        self.lost_by_server: int | None = 0

    def kinds(self) -> dict[str, Kind]:
        """Slots on the move: of runs, of the index of runs, of the membership."""
        return {
            "slot of a run moved": Kind(self._moved),
            "slot of the index moved": Kind(self._index_moved),
        }

    def client(self) -> Redis:
        """Return a client for the cluster, with the interface of an ordinary one."""
        return cast("Redis", self._cluster.client())

    def close(self) -> None:
        """Leave nothing behind."""
        self._cluster.close()

    def _moved(self, chance: Random) -> Callable[[], object]:
        self._cluster.move_slot(chance.choice(self._keys))
        return _nothing

    def _index_moved(self, chance: Random) -> Callable[[], object]:
        self._cluster.move_slot(chance.choice([keys.runs(), keys.workers()]))
        return _nothing


def _nothing() -> None:
    """Most of what is over at once needs no end."""


def _shorten(folder: Path, length: int) -> None:
    """Take bytes from the end of an append-only file, wherever in a command that may be, as a crash of the machine does."""
    newest = max(folder.glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
    os.truncate(newest, max(0, newest.stat().st_size - length))
