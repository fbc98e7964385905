"""The supervisor: starts one server, gives its URL, stops it."""

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from sanctum_bus.errors import ServerNotFound
from sanctum_bus.ops.embedded.binary import check_server, find_server
from sanctum_bus.ops.embedded.process import end, launch, socket_url, wait_for_server
from sanctum_bus.ops.embedded.state_dir import locked, register, unregister

#: Seconds for a server to reply after its start, which includes loading a long append-only file.
START_DEADLINE_S = 30.0

#: Longest path of a Unix socket in bytes, on macOS. Linux allows four more.
MAX_SOCKET_PATH_BYTES = 103

_DURABLE = ("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction")


class EmbeddedServer:
    """One running server. Create it with `start`; use it as a context manager, or call `stop`.

    Attributes:
        url: for `Redis.from_url` and the setting `redis_url`.
        pid: the server's process ID.
        state_dir: the directory of its data.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, state_dir: Path, undo: ExitStack) -> None:
        self.url = url
        self.pid = process.pid
        self.state_dir = state_dir
        self._process = process
        self._undo = undo

    @classmethod
    def start(
        cls,
        state_dir: Path | None = None,
        *,
        port: int = 0,
        binary: Path | None = None,
        options: Sequence[str] = (),
        deadline_s: float = START_DEADLINE_S,
    ) -> Self:
        """Start a server and wait until it replies.

        Args:
            state_dir: keeps the data between starts; None: a temporary directory that `stop` removes.
            port: port on 127.0.0.1, open to every user of this machine; 0: a Unix socket for this user only.
            binary: the server; None: the result of `find_server`.
            options: further server options, such as `("--maxmemory", "1gb")`.
            deadline_s: seconds until it must reply.

        Raises:
            ServerNotFound: it cannot be started; the message has the reason and the last lines of its log.
            ServerTooOld: it is older than Redis 7.0.
        """
        _check_thread()
        chosen = find_server() if binary is None else check_server(binary)
        try:
            with ExitStack() as undo:
                home = _temporary_directory(undo) if state_dir is None else _kept_directory(state_dir)
                with locked(home) as lock:
                    url, listen = _address(home, port, undo)
                    log = _fresh_log(home)
                    command: list[str | Path] = [chosen, *listen, "--dir", str(home), *_DURABLE, *options]
                    process = launch(command, log, keep_open=(lock,))
                    undo.callback(end, process)
                wait_for_server(process, url, log, deadline_s)
                register(home, url, process.pid)
                undo.callback(unregister, home, process.pid)
                return cls(process, url, home, undo.pop_all())
        except OSError as error:
            raise ServerNotFound(f"cannot start a server: {error}; set another SANCTUM_STATE_DIR") from error

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until the server exits unexpectedly; return its exit status, or None if `stop` ended it."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Make the server write its data and end. Further calls have no effect."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _check_thread() -> None:
    if sys.platform == "linux" and threading.current_thread() is not threading.main_thread():
        raise ServerNotFound(
            "Start the embedded server from the main thread: on Linux it ends with the thread that started it."
        )


def _kept_directory(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path.absolute()


def _temporary_directory(undo: ExitStack) -> Path:
    path = Path(tempfile.mkdtemp(prefix="sanctum-"))
    undo.callback(shutil.rmtree, path, ignore_errors=True)
    return path


def _address(home: Path, port: int, undo: ExitStack) -> tuple[str, list[str]]:
    """Return the URL of the server, and the options that make it listen only there."""
    if port:
        return f"redis://127.0.0.1:{port}/0", ["--port", str(port), "--bind", "127.0.0.1"]
    path = home / "redis.sock"
    if len(bytes(path)) > MAX_SOCKET_PATH_BYTES:
        path = _temporary_directory(undo) / "redis.sock"
    if len(bytes(path)) > MAX_SOCKET_PATH_BYTES:
        raise ServerNotFound(
            f"the path {path} is too long for a Unix socket. Set TMPDIR to a shorter path, or use --port."
        )
    return socket_url(path), ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]


def _fresh_log(home: Path) -> Path:
    log = home / "server.log"
    if log.exists():
        log.replace(home / "server.log.1")
    try:
        # On a full disk the server would end without a message.
        log.write_bytes(b"\n")
    except OSError as error:
        raise ServerNotFound(
            f"cannot write {log}: {error.strerror}. Free disk space, or choose another SANCTUM_STATE_DIR."
        ) from error
    return log
