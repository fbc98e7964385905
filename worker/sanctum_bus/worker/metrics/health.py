"""Whether a worker's loops turn, and whether it takes part."""

import time

from sanctum_bus.worker.metrics.recorder import WorkerMetrics


def stuck_loops(tally: WorkerMetrics) -> list[str]:
    """Return the loops that have not begun another turn for too long. An idle worker's loops turn all the time.

    Scanning and watching are not among them: with many keys and runs a turn may take long, and all is well.
    """
    limit = time.monotonic() - tally.stuck_s
    discovery = tally.works.get("discovery")
    lead = ["discovery"] if discovery is not None and discovery.turned_at < limit else []
    return lead + [f"run {run_id}" for run_id, meter in tally.runs.copy().items() if meter.turned_at < limit]


def not_ready_reason(tally: WorkerMetrics) -> str:
    """Return why a worker takes no part: the server does not answer, or does not count it as alive; "" if it does."""
    discovery = tally.works.get("discovery")
    if discovery is not None and discovery.streak.failures:
        return f"the server cannot be asked, {discovery.streak.failures} times in a row"
    if time.monotonic() - tally.beat_at >= tally.lease_s:
        return "the server does not count this worker as alive: its last beat is too old, or there was none"
    return ""
