"""Memory of a worker: base, and per run."""

from bench.drains import TEMPLATE
from bench.following import await_folded, await_workers
from bench.load import entries, synthetic
from bench.plan import Bench
from bench.processes import worker_process
from bench.results import Figure
from bench.server import memory_mb

ENVS, SLOTS = 64, 6

#: Events until every slot has a seed and every environment several epochs.
_EVENTS = ENVS * SLOTS * 4


def measure(bench: Bench) -> list[Figure]:
    """Return the resident memory of a new worker, and the increase per run of 64 envs and 6 slots."""
    server, runs = bench.server, 10 * bench.size.repeats
    base, each = [], []
    for _ in range(bench.size.repeats):
        server.empty()
        server.publish(TEMPLATE, entries(synthetic(ENVS, SLOTS, _EVENTS)))
        run_ids = [f"run-{number}" for number in range(runs)]
        with worker_process(server.url) as worker:
            await_workers(server, 1)
            base.append(memory_mb(worker.pid))
            server.provide(TEMPLATE, *run_ids)
            server.register(*run_ids)
            await_folded(server, run_ids, _EVENTS)
            each.append((memory_mb(worker.pid) - base[-1]) / runs)
    server.empty()
    title = f"memory of a worker per run of {ENVS} envs x {SLOTS} slots"
    note = f"{runs} runs of {_EVENTS:,} events each, immediately after folding"
    return [
        Figure("memory_base", "memory of a worker without runs", "MB", base, 80.0, "lower"),
        Figure("memory_run", title, "MB", each, 1.0, "lower", note=note),
    ]
