"""Whether the loops of a worker make progress, and whether the worker is ready."""

import time

from sanctum_bus.worker.metrics.recorder import WorkerMetrics


def stuck_loops(metrics: WorkerMetrics) -> list[str]:
    """Return the loops that made no progress for too long. The loops of an idle worker make progress all the time.

    The tasks `scan` and `lag_poll` are excluded: with many keys and runs, one healthy step may take long.
    """
    limit = time.monotonic() - metrics.stuck_s
    discovery = metrics.tasks.get("discovery")
    first = ["discovery"] if discovery is not None and discovery.turned_at < limit else []
    return first + [f"run {run_id}" for run_id, run in metrics.runs.copy().items() if run.turned_at < limit]


def not_ready_reason(metrics: WorkerMetrics) -> str:
    """Return why a worker is not ready: Redis is unreachable, or the lease has expired; "" if it is ready."""
    discovery = metrics.tasks.get("discovery")
    if discovery is not None and discovery.streak.failures:
        failures, error = discovery.streak.failures, metrics.last_error
        last = f", last: {error.kind}" if error and error.work == "discovery" else ""
        return f"not ready: Redis unreachable ({failures} consecutive failures{last})"
    if time.monotonic() - metrics.heartbeat_at >= metrics.lease_s:
        return "not ready: the server does not count this worker as alive (its last heartbeat is too old, or missing)"
    return ""
