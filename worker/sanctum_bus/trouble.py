"""Trouble: what every kind of error says about a run, and how long to wait before the next attempt.

The one table of errors. Trouble is never fatal; what is fatal is a `ConfigurationError`, said at the start.
"""

from enum import Enum

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.errors import StartOver
from sanctum_bus.lessons import Spoiled
from sanctum_bus.state import Unsettled

#: Back-off after trouble, in seconds: the first, and the longest.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Trouble(Enum):
    """Why a run is started over, and what that says about its entries."""

    TRANSIENT = "the server could not be asked; the entries are innocent"
    REFUSED = "a commit was refused or the group was gone; the entries are innocent"
    POISONED = "an entry could not be folded; it is parked next time"


def trouble_of(error: BaseException) -> Trouble | None:
    """Return what kind of trouble an error is, or None for one that is a defect of the worker."""
    if isinstance(error, Spoiled | Unsettled):
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


def is_lost_connection(error: BaseException) -> bool:
    """Whether a connection was lost, refused or silent, so that the next attempt makes another."""
    return isinstance(error, ConnectionLost | TooLate | OSError)


def kind_of(error: BaseException) -> str:
    """Return a fixed word for an error, fit for a counter's label."""
    return error.reason if isinstance(error, StartOver) else type(error).__name__


class Streak:
    """Failures in a row of one kind of work. The first is news, one of another kind, and the end: nothing else is.

    Attributes:
        failures: how many there were since the last success.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._kind = ""

    def failed(self, error: BaseException) -> bool:
        """Note a failure; return whether it is news."""
        self.failures += 1
        # The first word of a reply says what it is (OOM, READONLY, WRONGTYPE …).
        before, self._kind = self._kind, f"{kind_of(error)} {str(error).partition(' ')[0]}"
        return self._kind != before

    def over(self) -> int:
        """Note a success; return how many failures it has ended."""
        failures, self.failures, self._kind = self.failures, 0, ""
        return failures
