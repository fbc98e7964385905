"""The embedded server: a real Valkey or Redis that lives and dies with this process.

It listens on a Unix socket that only its user may open, or on a loopback port if one was asked for; never on both, and
on nothing else. Everything that it knows is in its state directory:

    server.json       url, pid and host while it runs: how others find it
    server.lock       locked for as long as the server's process lives, whatever became of its supervisor
    server.log        what it said since its start; `server.log.1` is the start before
    redis.sock        the socket, unless its path is too long for one
    appendonlydir/    the data

It ends with its supervisor: on Linux even when that is killed. Elsewhere a supervisor that is killed leaves it behind,
and the lock and `server.json` still say so.
"""

from sanctum_bus.ops.embedded.binary import find_server
from sanctum_bus.ops.embedded.server import EmbeddedServer
from sanctum_bus.ops.embedded.state_dir import default_state_dir, running_server

__all__ = ["EmbeddedServer", "default_state_dir", "find_server", "running_server"]
