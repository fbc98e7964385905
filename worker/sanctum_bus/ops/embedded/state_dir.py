"""The state directory: its path, the server that runs in it, and the lock that allows only one."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sanctum_bus.errors import ServerNotFound
from sanctum_bus.ops.embedded.process import POLL_S, answers

#: Seconds to wait for a server in the same directory that no longer replies and is about to end.
LOCK_DEADLINE_S = 5.0

#: Seconds for which a server must still reply to count as running: a server whose supervisor was killed
#: replies for up to 0.1 s more.
_STAYS_S = 0.5


class ServerRecord(NamedTuple):
    """The content of `server.json`."""

    url: str
    pid: int
    host: str


def default_state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return $SANCTUM_STATE_DIR, else `sanctum` under $XDG_STATE_HOME, else ~/.local/state/sanctum."""
    if chosen := environ.get("SANCTUM_STATE_DIR"):
        return Path(chosen).expanduser()
    # The XDG specification requires to ignore a relative path.
    xdg = environ.get("XDG_STATE_HOME", "")
    return (Path(xdg) if xdg.startswith("/") else Path.home() / ".local" / "state") / "sanctum"


def running_server(state_dir: Path | None = None) -> str | None:
    """Return the URL of the server that runs in a state directory; None if there is none, or only a file of a dead one."""
    said = registered(default_state_dir() if state_dir is None else state_dir)
    try:
        return said.url if said is not None and answers(said.url, said.pid) else None
    except ValueError:  # not a URL
        return None


def registered(home: Path) -> ServerRecord | None:
    """Return the content of `server.json`, whether the server still runs or not."""
    try:
        said = json.loads((home / "server.json").read_bytes())
        return ServerRecord(str(said["url"]), int(said["pid"]), str(said["host"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def register(home: Path, url: str, pid: int) -> None:
    """Record the running server. A reader sees the whole file or none."""
    new = home / "server.json.new"
    new.write_text(json.dumps(ServerRecord(url, pid, socket.gethostname())._asdict()) + "\n")
    new.replace(home / "server.json")


def unregister(home: Path, pid: int) -> None:
    """Remove the record, unless another server has written its record since."""
    said = registered(home)
    if said is not None and said.pid == pid:
        (home / "server.json").unlink(missing_ok=True)


@contextmanager
def locked(home: Path, deadline_s: float = LOCK_DEADLINE_S) -> Iterator[int]:
    """Lock the state directory; yield the file descriptor of the lock.

    The server inherits it, so the lock lasts exactly as long as a process that may write the data.

    Raises:
        ServerNotFound: another process holds the lock, or the file system does not support locks.
    """
    with (home / "server.lock").open("ab") as file:
        begun = time.monotonic()
        while not _try_lock(file.fileno()):
            patience_s = deadline_s if running_server(home) is None else _STAYS_S
            if time.monotonic() - begun > patience_s:
                raise ServerNotFound(_in_use(home))
            time.sleep(POLL_S)
        yield file.fileno()


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _in_use(home: Path) -> str:
    said = registered(home)
    who = "another process" if said is None else f"process {said.pid} on {said.host} at {said.url}"
    return f"A server already runs in {home}: {who}. Use it, or stop it, or choose another SANCTUM_STATE_DIR."
