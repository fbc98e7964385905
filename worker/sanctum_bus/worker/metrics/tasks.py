"""The state of the background tasks of a worker, and its last error."""

from dataclasses import dataclass, field
from typing import NamedTuple

from sanctum_bus.connection.retry import FailureStreak


class LastError(NamedTuple):
    """The last error of a worker. The names of the fields are stored on the server, as part of the worker's status.

    Args:
        at_ms: when, server time in ms as far as the worker can compute it.
        work: the task that failed: `run`, `discovery`, `scan` or `lag_poll`.
        where: the run, or "".
        kind: a fixed word, as in the metrics.
        text: the message of the error.
    """

    at_ms: int
    work: str
    where: str
    kind: str
    text: str


@dataclass
class TaskState:
    """The state of one background task.

    Args:
        turned_at: when its last step began or ended, by `time.monotonic`.
        streak: its failures in a row.
    """

    turned_at: float
    streak: FailureStreak = field(default_factory=FailureStreak)
