"""Real worker processes on a server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import Server

_SCRIPT = Path(__file__).with_name("worker_process.py")


@contextmanager
def worker_process(server: Server, *arguments: str, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker process, and kill it at the end if it still runs.

    Args:
        server: with the runs.
        arguments: of the command.
        settings: passed as environment variables.
    """
    settings = {
        "redis_url": server.url,
        "poll_timeout_ms": 50,
        "heartbeat_interval_s": 0.05,
        "lease_s": 0.2,
        "scan_interval_s": 0.05,
        "log_level": "error",
    } | settings
    environ = os.environ | {f"SANCTUM_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, str(_SCRIPT), *arguments], env=environ, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
