"""Trouble: what every kind of error says about a run, and how long to wait before the next attempt.

The one table of errors. Trouble is never fatal; what is fatal is a `ConfigurationError`, said at the start.
"""

from enum import Enum

from redis.exceptions import RedisError

from sanctum_bus.errors import DeferredWriteFailed, FoldFailed, RestartRun


class FailureKind(Enum):
    """Why a run is started over, and what that says about its entries."""

    TRANSIENT = "the server could not be asked; the entries are innocent"
    REFUSED = "a commit was refused or the group was gone; the entries are innocent"
    POISONED = "an entry could not be folded; it is parked next time"


def classify(error: BaseException) -> FailureKind | None:
    """Return what kind of trouble an error is, or None for one that is a defect of the worker."""
    if isinstance(error, FoldFailed | DeferredWriteFailed):
        return FailureKind.POISONED
    if isinstance(error, RestartRun):
        return FailureKind.REFUSED
    # The cluster's errors of redis-py are no RedisErrors, and its time-outs are both.
    if isinstance(error, RedisError | OSError | TimeoutError) or type(error).__module__.startswith("redis."):
        return FailureKind.TRANSIENT
    return None
