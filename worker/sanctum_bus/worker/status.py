"""What a worker says of itself on the server, for people; `sanctum workers` shows it."""

import json
import math
from typing import Any

from sanctum_bus._version import __version__
from sanctum_bus.worker.metrics import table
from sanctum_bus.worker.metrics.recorder import RunMetrics, WorkerMetrics

#: Runs that a record names; how many there are, it says in any case.
MAX_NAMED = 200


def status_json(tally: WorkerMetrics) -> str:
    """Return what a worker says of itself, as JSON; what it does not know is null. Times are the server's, in ms."""
    named = sorted(run_id for run_id, meter in tally.runs.items() if meter.is_owned)[:MAX_NAMED]
    behind, behind_s, error = table.behind(tally), table.behind_s(tally), tally.last_error
    return json.dumps(
        {
            "version": __version__,
            "since_ms": tally.since_ms,
            "at_ms": tally.server_ms,
            "owned": table.owned(tally),
            "waiting": tally.waiting,
            "lag_events": None if math.isnan(behind) else int(behind),
            "lag_s": None if math.isnan(behind_s) else behind_s,
            "last_error": error._asdict() if error else None,
            "runs": {run_id: _run_record(tally.runs[run_id]) for run_id in named},
        }
    )


def _run_record(meter: RunMetrics) -> dict[str, Any]:
    behind, behind_s, _, _ = meter.lag
    return {
        "since_ms": meter.since_ms,
        "generation": meter.generation,
        "lag_events": behind,
        "lag_s": behind_s,
    }
