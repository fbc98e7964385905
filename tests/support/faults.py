"""Faults of a real server, each for the duration of a `with`; the data survives all of them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from redis.exceptions import RedisError, ResponseError

from tests.support.servers import Server, ServerKind, StartServer, free_port
from tests.support.waiting import wait_until

#: Seconds that an operation on a busy machine may take.
DEADLINE_S = 20.0

# Many keys with a pause at each, so that the load lasts until a client has met it.
_KEYS_TO_LOAD, _PAUSE_PER_KEY_US = 4000, 4000


@contextmanager
def _unsaved(server: Server) -> Iterator[None]:
    """MISCONF: the last snapshot could not be written, because a directory has the file's name."""
    client, place = server.client(), server.home / "dump.rdb"
    place.mkdir()
    client.config_set("save", "3600 1")
    _save(server, "err")
    yield
    place.rmdir()
    _save(server, "ok")


def _save(server: Server, status: str) -> None:
    client = server.client()

    def is_told() -> bool:
        info = client.info("persistence")
        return not info["rdb_bgsave_in_progress"] and bool(info["rdb_last_bgsave_status"] == status)

    client.execute_command("BGSAVE")
    wait_until(is_told, f"the status of the last save is {status}", DEADLINE_S)


@contextmanager
def _replica(server: Server) -> Iterator[None]:
    """READONLY: the server was made a replica, and its primary is unavailable."""
    client = server.client()
    client.replicaof("127.0.0.1", "1")
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def _stale(server: Server) -> Iterator[None]:
    """MASTERDOWN: a replica that answers nothing without its primary."""
    client = server.client()
    client.config_set("replica-serve-stale-data", "no")
    with _replica(server):
        yield
    client.config_set("replica-serve-stale-data", "yes")


@contextmanager
def _alone(server: Server) -> Iterator[None]:
    """NOREPLICAS: the server requires a replica for writes, and has none."""
    client = server.client()
    client.config_set("min-replicas-to-write", 1)
    yield
    client.config_set("min-replicas-to-write", 0)


@contextmanager
def _busy(server: Server) -> Iterator[None]:
    """BUSY: a script of another client does not end."""
    client = server.client()
    client.config_set("busy-reply-threshold", 1)
    with _in_background(server, "EVAL", "while true do end", 0):
        wait_until(lambda: _refuses(server, "BUSY"), "the server is busy", DEADLINE_S)
        yield
        client.script_kill()


@contextmanager
def _loading(server: Server) -> Iterator[None]:
    """LOADING: the server reads its data from the disk."""
    client = server.client()
    client.execute_command("DEBUG", "POPULATE", _KEYS_TO_LOAD, "fill", 100)
    client.config_set("key-load-delay", _PAUSE_PER_KEY_US)
    with _in_background(server, "DEBUG", "RELOAD"):
        wait_until(lambda: _refuses(server, "loading the dataset"), "the server is loading", DEADLINE_S)
        yield
        client.config_set("key-load-delay", 0)


@contextmanager
def _frozen(server: Server) -> Iterator[None]:
    """No answer: the process is stopped, and its connections stay."""
    os.kill(server.pid, signal.SIGSTOP)
    yield
    os.kill(server.pid, signal.SIGCONT)


@contextmanager
def _gone(server: Server) -> Iterator[None]:
    """No connection: the process was killed, and restarts with everything that it acknowledged."""
    server.kill()
    yield
    server.start()


@contextmanager
def _homeless(server: Server) -> Iterator[None]:
    """CLUSTERDOWN: the slots of a cluster have no server, except for the last one, which keeps the node in the cluster."""
    client = server.client()
    client.execute_command("CLUSTER", "DELSLOTSRANGE", 0, 16382)
    yield
    _serve(server, 16382)


def _serve(server: Server, last_slot: int) -> None:
    client = server.client()
    client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, last_slot)

    def is_up() -> bool:
        info: Any = client.execute_command("CLUSTER INFO")
        return bool(info["cluster_state"] == "ok")

    wait_until(is_up, "the slots are served", DEADLINE_S)


@contextmanager
def _in_background(server: Server, *command: str | int) -> Iterator[None]:
    """Send a command that takes long, and wait for its end at the end."""
    client = server.client(socket_timeout=DEADLINE_S)

    def call() -> None:
        try:
            client.execute_command(*command)
        except ResponseError as error:
            assert "killed" in str(error).lower()  # noqa: PT017  # a script that never ends always ends like this

    thread = threading.Thread(target=call)
    thread.start()
    yield
    thread.join()


def _refuses(server: Server, word: str) -> bool:
    try:
        server.client().execute_command("GET", "x")
    except RedisError as error:
        return word in str(error)
    return False


class Fault(NamedTuple):
    """One fault.

    Args:
        name: as the documentation names it.
        error: a part of the error that a client gets.
        lasts: causes it for the duration of the context.
        options: of the server that can have it.
        is_cluster: the server has to be the only node of a cluster.
    """

    name: str
    error: str
    lasts: Callable[[Server], AbstractContextManager[None]]
    options: tuple[str, ...] = ()
    is_cluster: bool = False

    def start(self, start_server: StartServer, kind: ServerKind) -> Server:
        """Start a server that can have this fault."""
        if not self.is_cluster:
            return start_server(kind, *self.options)
        server = start_server(kind, *self.options, port=free_port())
        _serve(server, 16383)
        return server


_PARTIAL = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
_SLOW_LOAD = ("--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024")

FAULTS = (
    Fault("MISCONF", "MISCONF", _unsaved),
    Fault("READONLY", "read only replica", _replica),
    Fault("MASTERDOWN", "replica", _stale),
    Fault("NOREPLICAS", "NOREPLICAS", _alone),
    Fault("BUSY", "BUSY", _busy),
    Fault("LOADING", "loading the dataset", _loading, _SLOW_LOAD),
    Fault("CLUSTERDOWN", "slot not served", _homeless, _PARTIAL, is_cluster=True),
    Fault("a frozen server", "Timeout", _frozen),
    Fault("a killed server", "onnect", _gone),
)
