"""The status of a worker: polled and stored on the server every few seconds; `sanctum workers` shows it."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from sanctum_bus._version import __version__
from sanctum_bus.worker.failures import classify
from sanctum_bus.worker.metrics import table
from sanctum_bus.worker.metrics.recorder import RunMetrics, WorkerMetrics
from sanctum_bus.worker.registry import Lag, Registry

#: Seconds between two polls.
POLL_INTERVAL_S = 2.0

#: Maximum number of runs that a status names; it has the number of all runs in any case.
MAX_NAMED = 200


async def poll_lag(
    registry: Registry, metrics: WorkerMetrics, versions: Mapping[str, str], live: Collection[str]
) -> None:
    """Query the lag of each run, and publish the status of the worker.

    Args:
        registry: of the server.
        metrics: gets the lags, and is the source of the status.
        versions: the last committed stream ID of each run that the worker owns.
        live: IDs of the live workers; without any, nothing is published.

    Raises:
        RedisError: a request failed. The lag of the runs that were not queried is unknown.
    """
    failure = None
    for run_id, run in metrics.runs.copy().items():
        lag = Lag()
        if failure is None and run_id in versions:
            try:
                lag = await registry.lag(run_id, versions[run_id])
            except Exception as error:
                if classify(error) is None:
                    raise
                # The other runs are not queried: each request may take as long as its time-out.
                failure = error
        run.set_lag(lag)
    if live:
        await registry.publish_status(metrics.worker, status_json(metrics), live)
    if failure is not None:
        raise failure


def status_json(metrics: WorkerMetrics) -> str:
    """Return the status of a worker as JSON. Unknown values are null; times are server times in ms."""
    named = sorted(run_id for run_id, run in metrics.runs.items() if run.is_owned)[:MAX_NAMED]
    behind, behind_s, error = table.behind(metrics), table.behind_s(metrics), metrics.last_error
    return json.dumps(
        {
            "version": __version__,
            "since_ms": metrics.since_ms,
            "at_ms": metrics.server_ms,
            "owned": table.owned(metrics),
            "waiting": metrics.waiting,
            "lag_events": None if math.isnan(behind) else int(behind),
            "lag_s": None if math.isnan(behind_s) else behind_s,
            "last_error": error._asdict() if error else None,
            "runs": {run_id: _run_status(metrics.runs[run_id]) for run_id in named},
        }
    )


def _run_status(run: RunMetrics) -> dict[str, Any]:
    lag = run.lag
    return {
        "since_ms": run.since_ms,
        "generation": run.generation,
        "lag_events": lag.behind,
        "lag_s": lag.behind_s,
    }
