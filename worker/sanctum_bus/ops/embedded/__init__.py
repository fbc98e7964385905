"""The embedded server: a real Valkey or Redis that runs as long as this process.

It listens on a Unix socket that only its user can open, or on a requested loopback port; never on both, and
on nothing else. Its state directory holds everything:

    server.json       URL, PID and host while it runs: other commands find it here
    server.lock       locked as long as the server's process runs, even without its supervisor
    server.log        its output since the start; `server.log.1` is the output of the start before
    redis.sock        the socket, unless its path is too long
    appendonlydir/    the data

It ends with its supervisor: on Linux even if the supervisor is killed. On other systems a killed supervisor
leaves it behind, and the lock and `server.json` still show it.
"""

from sanctum_bus.ops.embedded.binary import find_server
from sanctum_bus.ops.embedded.server import EmbeddedServer
from sanctum_bus.ops.embedded.state_dir import default_state_dir, running_server

__all__ = ["EmbeddedServer", "default_state_dir", "find_server", "running_server"]
