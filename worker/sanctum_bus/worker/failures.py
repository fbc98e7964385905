"""The meaning of an error for a run, and the recovery from it.

This is the one table of errors after which a run restarts. Any other error is a defect, and ends the worker.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from redis.exceptions import RedisError

from sanctum_bus.connection.retry import FailureStreak, backoff_s
from sanctum_bus.errors import DeferredWriteFailed, FoldFailed, RestartRun
from sanctum_bus.fold.recovery import RecoveryMemo


class FailureKind(Enum):
    """Why a run restarts from its checkpoint; the value is the `cause` in the log."""

    #: The server could not execute a request. The entries are not the reason.
    UNAVAILABLE = "unavailable"
    #: A commit was refused, or the group does not exist. The entries are not the reason.
    REFUSED = "refused"
    #: An entry could not be folded. The next attempt parks it.
    FOLD_FAILED = "fold_failed"


def classify(error: BaseException) -> FailureKind | None:
    """Return why a run restarts after an error, or None if the error is a defect of the worker."""
    if isinstance(error, FoldFailed | DeferredWriteFailed):
        return FailureKind.FOLD_FAILED
    if isinstance(error, RestartRun):
        return FailureKind.REFUSED
    # Cluster errors of redis-py are not RedisErrors, and its time-outs are both.
    if isinstance(error, RedisError | OSError | TimeoutError) or type(error).__module__.startswith("redis."):
        return FailureKind.UNAVAILABLE
    return None


class Setback(NamedTuple):
    """The consequences of one failed attempt.

    Args:
        is_news: the failure is the first one, or of another kind than the last.
        wait_s: seconds to wait before the next attempt.
    """

    is_news: bool
    wait_s: float


@dataclass(slots=True)
class Recovery:
    """State that failed attempts at one run pass on to the next attempt.

    Args:
        memo: quarantined entries and confirmed gaps.
        streak: failures in a row.
        blameless: the last attempt failed while this process lived, so no entry has killed it. The next acquisition does
            not count as an attempt.
    """

    memo: RecoveryMemo = field(default_factory=RecoveryMemo)
    streak: FailureStreak = field(default_factory=FailureStreak)
    blameless: bool = False

    def record(self, error: BaseException, jitter: float) -> Setback:
        """Record the error that ended an attempt.

        Args:
            error: the error.
            jitter: 0 to 1, drawn by the caller.
        """
        self.blameless = True
        if self.memo.record(error):
            # The next attempt parks the entry or accepts the gap: this is progress, and not a failure.
            return Setback(is_news=False, wait_s=0.0)
        is_news = self.streak.record(error)
        # Most refusals end with the first restart.
        at_once = isinstance(error, RestartRun) and self.streak.failures == 1
        return Setback(is_news, 0.0 if at_once else backoff_s(self.streak.failures, jitter))
