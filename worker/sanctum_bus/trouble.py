"""Trouble: what every kind of error says about a run, and how long to wait before the next attempt.

The one table of errors. Trouble is never fatal; what is fatal is a `ConfigurationError`, said at the start.
"""

from enum import Enum

from redis.exceptions import RedisError

from sanctum_bus.aggregate import Spoiled
from sanctum_bus.errors import StartOver

#: Back-off after trouble, in seconds: the first, and the longest.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class Trouble(Enum):
    """Why a run is started over, and what that says about its entries."""

    TRANSIENT = "the server could not be asked; the entries are innocent"
    REFUSED = "a commit was refused or the group was gone; the entries are innocent"
    POISONED = "an entry could not be folded; it is parked next time"


def trouble_of(error: BaseException) -> Trouble | None:
    """Return what kind of trouble an error is, or None for one that is a defect of the worker."""
    if isinstance(error, Spoiled):
        return Trouble.POISONED
    if isinstance(error, StartOver):
        return Trouble.REFUSED
    # The cluster's errors of redis-py are no RedisErrors, and its time-outs are both.
    if isinstance(error, RedisError | OSError | TimeoutError) or type(error).__module__.startswith("redis."):
        return Trouble.TRANSIENT
    return None


def pause_s(failures: int, jitter: float) -> float:
    """Return how long to wait before the next attempt.

    Args:
        failures: attempts that failed in a row, from 1.
        jitter: 0 to 1; spreads workers that failed together.
    """
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16)) * (0.5 + jitter / 2)
