"""Workers that process many runs which are registered at the same time."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from bench.drains import TEMPLATE, forget_the_rest
from bench.load import standard_entries
from bench.processes import wait_until, worker_process
from bench.server import Server, cpu_seconds
from sanctum_bus.protocol import keys


@dataclass(frozen=True)
class Folded:
    """Result of a measurement.

    Args:
        speed: events per second, all runs together.
        server_share: share of one processor that the server used.
    """

    speed: float
    server_share: float


def publish_runs(server: Server, runs: int, events: int) -> list[str]:
    """Publish one stream for runs of equal size, and return the run names."""
    server.client.delete(TEMPLATE)
    server.publish(TEMPLATE, standard_entries(events // runs))
    return [f"run-{number}" for number in range(runs)]


def await_folded(server: Server, run_ids: Sequence[str], entries: int) -> None:
    """Wait until the snapshot of each run contains this number of entries; runs are checked in turn."""
    for run_id in run_ids:
        wait_until(
            partial(_has_folded, server, run_id, entries), f"{entries:,} entries of {run_id} are folded"
        )


def await_workers(server: Server, count: int) -> None:
    """Wait until this number of workers is registered."""
    wait_until(lambda: server.client.zcard(keys.workers()) == count, f"{count} workers are registered")


def _has_folded(server: Server, run_id: str, entries: int) -> bool:
    return server.folded(run_id) >= entries


def folded_by(server: Server, workers: int, run_ids: Sequence[str]) -> Folded:
    """Measure running workers that fold runs registered at the same time.

    The clock starts with the registration, so the discovery interval counts.
    """
    events = server.client.xlen(TEMPLATE)
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(worker_process(server.url, heartbeat_interval_s=0.05))
        await_workers(server, workers)
        server.provide(TEMPLATE, *run_ids)
        used, began = cpu_seconds(server.pid), perf_counter()
        server.register(*run_ids)
        await_folded(server, run_ids, events)
        seconds = perf_counter() - began
        used = cpu_seconds(server.pid) - used
    forget_the_rest(server)
    return Folded(events * len(run_ids) / seconds, used / seconds)
