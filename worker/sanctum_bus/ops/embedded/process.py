"""The server's process: start it so that it ends with this one, wait for its first reply, end it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from sanctum_bus.errors import ServerNotFound

#: Seconds for a server to write its data before it is killed.
STOP_DEADLINE_S = 15.0

#: Seconds between two checks of a starting server.
POLL_S = 0.01

#: Timeout of one request, in seconds.
_ANSWER_S = 2.0

# The prefix of a line in a server's log: process, role, time and level.
_STAMP = re.compile(r"\d+:[A-Z] [^.]*\.\d+ [-.*#] ")

# The server's message about a port in use.
_TAKEN = "Address already in use"

# A fresh interpreter runs this and then becomes the server. A function between fork and exec (preexec_fn) may
# deadlock in a process with threads. The parent may end before the kernel handles the request, so the script
# checks getppid. A server that inherits a blocked SIGTERM would never end.
_END_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
signal.pthread_sigmask(signal.SIG_SETMASK, ())
if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
    sys.exit("prctl(PR_SET_PDEATHSIG) failed")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the supervisor is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def launch(
    command: Sequence[str | Path], log: Path, *, keep_open: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a server with its output in a file.

    On Linux it receives SIGTERM as soon as the calling thread ends, for any reason: call this from a thread
    that lives as long as the process.

    Args:
        command: the absolute path of the binary, and its options.
        log: the file for its output; it is truncated.
        keep_open: file descriptors that it inherits.
    """
    guard: list[str] = []
    if sys.platform == "linux":
        guard = [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid())]
    with log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603 - the user's own choice of server, and no shell
            [*guard, *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=keep_open,
            # Ctrl-C in a terminal reaches the whole process group, but the server must outlive the last
            # commit.
            start_new_session=True,
        )


def wait_for_server(process: subprocess.Popen[bytes], url: str, log: Path, deadline_s: float) -> None:
    """Wait until this very process replies at the URL.

    Raises:
        ServerNotFound: it ended, or did not reply in time; the message has the last line of its log.
    """
    deadline = time.monotonic() + deadline_s
    while process.poll() is None and time.monotonic() < deadline:
        if answers(url, process.pid):
            return
        time.sleep(POLL_S)
    status = process.returncode
    why = f"did not reply within {deadline_s:g} s" if status is None else f"exited with status {status}"
    raise ServerNotFound(f"The server for {url} {why}. Last log lines: {_last_words(log)}")


def _last_words(log: Path) -> str:
    """Return the line of a server's log that explains its end; for a port in use that is not the last one."""
    lines = [_STAMP.sub("", line) for line in log.read_text(errors="replace").splitlines() if line.strip()]
    for line in lines:
        if _TAKEN in line:
            return f"{line}. Stop what uses the port, or choose another --port."
    return lines[-1] if lines else "(none)"


def answers(url: str, pid: int) -> bool:
    """Return whether the process `pid` replies at the URL; another server on the same port does not count."""
    with Redis.from_url(
        url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S, retry=Retry(NoBackoff(), 0)
    ) as client:
        try:
            return bool(client.ping()) and client.info("server")["process_id"] == pid
        except RedisError:
            return False


def end(process: subprocess.Popen[bytes], deadline_s: float = STOP_DEADLINE_S) -> None:
    """Make a server write its data and end; kill it if it does not."""
    process.terminate()
    try:
        process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def socket_url(path: Path) -> str:
    """Return the URL of a Unix socket for redis-py."""
    return f"unix://{quote(str(path))}?db=0"
