"""Lost connections are counted."""

import pytest
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.errors import CommitRefused
from sanctum_bus.worker.metrics.recorder import WorkerMetrics


@pytest.mark.parametrize(
    ("error", "reconnects"),
    [
        (ConnectionLost("closed"), 1),
        (TooLate("silent"), 1),
        (OSError(111, "refused"), 1),
        (ResponseError("OOM"), 0),
        (CommitRefused("version", ""), 0),
    ],
)
def test_lost_connections_are_counted(error: Exception, reconnects: int) -> None:
    """A lost, refused or timed out connection counts; an error reply on a working connection does not."""
    metrics = WorkerMetrics()

    metrics.count_error("run", "r", error)

    assert metrics.reconnects == reconnects
