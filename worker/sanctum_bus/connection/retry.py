"""Retry rules: how long to wait after a failure, which failures are worth a log line, and which can pass."""

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TimedOut

from sanctum_bus.errors import RestartRun, Unavailable

#: Seconds to wait after the first failure, and the upper bound in seconds; before jitter.
FIRST_BACKOFF_S = 0.05
MAX_BACKOFF_S = 2.0

#: First words of replies that mean "try again later"; redis-py has classes for the others.
_TRANSIENT_REPLIES = ("BUSY ", "LOADING ", "MASTERDOWN ")

#: The exponent beyond which doubling makes no difference, so that no float overflows.
_MAX_DOUBLINGS = 16


def backoff_s(failures: int, jitter: float) -> float:
    """Return the seconds to wait before the next attempt: exponential, with equal jitter.

    Args:
        failures: failed attempts in a row, from 1.
        jitter: 0 to 1, drawn by the caller; it spreads clients that failed together.
    """
    doubled: float = FIRST_BACKOFF_S * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)
    return min(MAX_BACKOFF_S, doubled) * (0.5 + jitter / 2)


def is_lost_connection(error: BaseException) -> bool:
    """Return whether a connection was lost, refused or timed out, so that the next attempt opens another."""
    return isinstance(error, ConnectionLost | TimedOut | OSError)


def error_kind(error: BaseException) -> str:
    """Return a fixed word for an error, usable as a metrics label."""
    return error.reason if isinstance(error, RestartRun) else type(error).__name__


def is_transient(error: Exception) -> bool:
    """Return whether a failure can pass without a correction: the server is unavailable, starting, or failing over."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return False
    if isinstance(
        error, Unavailable | ConnectionLost | TimedOut | OSError | AskError | ClusterDownError | TryAgainError
    ):
        return True
    return isinstance(error, ResponseError) and str(error).startswith(_TRANSIENT_REPLIES)


class FailureStreak:
    """Failures in a row of one task. A failure is news if it is the first or of another kind than the last.

    Attributes:
        failures: number of failures since the last success.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._kind = ""

    def record(self, error: BaseException) -> bool:
        """Record a failure; return whether it is news."""
        self.failures += 1
        # The first word of a server's reply names the error (OOM, READONLY, WRONGTYPE ...).
        before, self._kind = self._kind, f"{error_kind(error)} {str(error).partition(' ')[0]}"
        return self._kind != before

    def reset(self) -> int:
        """Record a success; return how many failures it ended."""
        failures, self.failures, self._kind = self.failures, 0, ""
        return failures
