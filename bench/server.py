"""The server of a benchmark run: one for all measurements, on a Unix socket, without persistence."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

from redis import Redis

from sanctum_bus.ops.embedded import EmbeddedServer
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys

#: No persistence: the speed of the disk must not influence the comparison.
_OPTIONS = ("--appendonly", "no", "--save", "")

#: Entries per pipeline when publishing.
_PIPELINE = 1000

#: Reply timeout in seconds; the server needs time to copy a long stream.
_PATIENCE_S = 120.0

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server, with operations for the benchmark.

    Args:
        url: URL of the server.
        pid: process ID of the server.
        client: client of the benchmark; subjects use other clients.
    """

    url: str
    pid: int
    client: Redis

    @property
    def version(self) -> str:
        """Return the name and the version of the server."""
        info = self.client.info("server")
        name = "valkey" if "valkey_version" in info else "redis"
        return f"{name} {info.get(f'{name}_version')}"

    def publish(self, key: str, entries: Iterable[Mapping[bytes, bytes]]) -> int:
        """Append entries to a stream, and return their number."""
        count, remaining = 0, iter(entries)
        while slab := list(islice(remaining, _PIPELINE)):
            pipeline = self.client.pipeline(transaction=False)
            for entry in slab:
                pipeline.execute_command("XADD", key, "*", *(part for pair in entry.items() for part in pair))
            count += len(pipeline.execute())
        return count

    def provide(self, template: str, *run_ids: str) -> None:
        """Copy a published stream to runs, without registering the runs."""
        for run_id in run_ids:
            self.client.copy(template, RunKeys(run_id).events, replace=True)

    def register(self, *run_ids: str) -> None:
        """Add runs to the run index in one command; workers find them at their next discovery."""
        seconds, micros = self.client.time()
        self.client.zadd(keys.runs(), dict.fromkeys(run_ids, seconds * 1000 + micros // 1000))

    def empty(self) -> None:
        """Delete all keys."""
        self.client.flushall()

    def folded(self, run_id: str) -> int:
        """Return how many entries of a run are in its snapshot."""
        return int(cast("bytes | None", self.client.hget(RunKeys(run_id).checkpoint, "entries")) or 0)


@contextmanager
def running() -> Iterator[Server]:
    """Start the server; stop it at the end."""
    with (
        EmbeddedServer.start(options=_OPTIONS) as embedded,
        Redis.from_url(embedded.url, protocol=2, socket_timeout=_PATIENCE_S) as client,
    ):
        yield Server(embedded.url, embedded.pid, client)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process in MB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
