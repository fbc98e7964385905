"""Now and then: how far are the runs behind, and what does the worker say of itself on the server."""

from collections.abc import Collection, Mapping

from sanctum_bus.worker.failures import classify
from sanctum_bus.worker.metrics.recorder import WorkerMetrics
from sanctum_bus.worker.registry import Lag, Registry
from sanctum_bus.worker.status import status_json

#: Seconds between two looks.
POLL_INTERVAL_S = 2.0


async def poll_lag(
    directory: Registry, tally: WorkerMetrics, versions: Mapping[str, str], alive: Collection[str]
) -> None:
    """Ask how far each run is behind, and tell the server what is known.

    Args:
        directory: of the server.
        tally: where the answers go, and what is told.
        versions: of the runs in this worker's hands, what is committed.
        alive: the workers that are.

    Raises:
        RedisError: the server could not be asked; how far a run is behind is not known then.
    """
    trouble = None
    for run_id, meter in tally.runs.copy().items():
        standing = Lag()
        if trouble is None and run_id in versions:
            try:
                standing = await directory.standing(run_id, versions[run_id])
            except Exception as error:
                if classify(error) is None:
                    raise
                # What cannot be asked now is not known; the others are not asked either, for each may take long.
                trouble = error
        meter.set_lag(standing)
    if alive:
        await directory.tell(tally.worker, status_json(tally), alive)
    if trouble is not None:
        raise trouble
