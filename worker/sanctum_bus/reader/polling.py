"""Read repeatedly: after a change notification, at the latest after the poll time, and after failures that can pass.

A notification decides only when to read, never what is there. A missed one delays the next read by the poll time at most.
"""

import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple

from redis.exceptions import RedisError, ResponseError

from sanctum_bus.connection.retry import backoff_s, is_transient
from sanctum_bus.errors import InvalidArgument, Unavailable
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader.effects import Message, Program, Reset, T, Wait

_log = logging.getLogger("sanctum_bus.reader")

#: Minimum seconds between two reads: notifications that arrive close together cause one read.
MIN_INTERVAL_S = 0.05

#: Maximum seconds between two reads without a subscription.
MAX_INTERVAL_S = 1.0

#: Reads a second of all followers of a run together: the server executes them one by one, between the commits.
_READS_PER_S = 125

#: Maximum seconds of a round in which each follower reads once, however many followers a notification reports.
_MAX_ROUND_S = 10.0


class PollPolicy(NamedTuple):
    """How long a follower waits.

    Args:
        poll_s: seconds after which it reads without a notification.
        idle_s: seconds without a change after which it ends; None: never.
        clock: a monotonic clock, in seconds.
    """

    poll_s: float
    idle_s: float | None
    clock: Callable[[], float] = time.monotonic

    def checked(self) -> "PollPolicy":
        """Return this policy.

        Raises:
            InvalidArgument: a time is out of range.
        """
        if self.poll_s <= 0 or (self.idle_s is not None and self.idle_s < 0):
            raise InvalidArgument(
                f"poll_s must be above 0, not {self.poll_s}; idle_s must be 0 or more, not {self.idle_s}"
            )
        return self


@dataclass(frozen=True, slots=True)
class PollState:
    """The state that decides the next wait of a follower. Times are those of the policy's clock, in seconds.

    Args:
        read_at: time of the last successful read.
        changed_at: time of the last read that found a change, or of the first read.
        failures: failed reads since then.
        can_subscribe: the server has not refused the subscription.
        missed: the last change came without its notification, so the subscription may be dead.
    """

    read_at: float
    changed_at: float
    failures: int = 0
    can_subscribe: bool = True
    missed: bool = False

    def is_idle(self, policy: PollPolicy, now: float) -> bool:
        """Return whether the follower ends if there is no change now."""
        return policy.idle_s is not None and now >= self.changed_at + policy.idle_s


def next_wait(state: PollState, policy: PollPolicy, now: float, channel: str) -> Wait | None:
    """Return the wait before the next read, or None if the read is due.

    Args:
        state: the state after the last read.
        policy: how long the follower waits.
        now: by the policy's clock.
        channel: the channel of the change notifications.
    """
    due = state.read_at + policy.poll_s
    if policy.idle_s is not None:
        due = min(due, state.changed_at + policy.idle_s)
    if due <= now:
        return None
    if state.can_subscribe:
        return Wait(due - now, channel, state.missed)
    return Wait(min(due - now, MAX_INTERVAL_S))


class Poller(Generic[T]):
    """Reads until there is a change.

    Args:
        read: returns the program of one read, whose result is what changed.
        run: the run, for its channel and for the log.
        policy: how long to wait.
        phase: 0 to 1, the position of this follower in a round, if followers take turns. At random by default, so that
            followers do not all read at the same notification.
    """

    def __init__(
        self,
        read: Callable[[], Program[list[T]]],
        run: RunKeys,
        policy: PollPolicy,
        phase: float | None = None,
    ) -> None:
        self._read = read
        self._run = run
        self._policy = policy.checked()
        self._phase = random.random() if phase is None else phase  # noqa: S311  # not a secret
        self._state: PollState | None = None

    def next(self) -> Program[list[T]]:
        """Return what changed, or nothing after `idle_s` without a change.

        The first read raises every error. Later, errors that can pass are retried, and raised only if they last until the
        end of `idle_s`.
        """
        while True:
            notified = None if self._state is None else (yield from self._wait(self._state))
            try:
                found = yield from self._read()
            except (RedisError, OSError, Unavailable) as error:
                state = self._state
                if state is None or not is_transient(error) or state.is_idle(self._policy, self._now()):
                    raise
                self._on_failure(state, error)
                continue
            state = self._on_success(changed=bool(found), notified=notified)
            if found or state.is_idle(self._policy, self._now()):
                return found

    def _now(self) -> float:
        return self._policy.clock()

    def _wait(self, state: PollState) -> Program[bool | None]:
        """Wait until a read is due; return whether a notification came, or None if none could come."""
        if state.failures:
            yield Reset()
            yield Wait(backoff_s(state.failures, random.random()))  # noqa: S311  # not a secret
            return None
        yield Wait(max(0.0, state.read_at + MIN_INTERVAL_S - self._now()))
        wait = next_wait(state, self._policy, self._now(), self._run.changed)
        if wait is None:
            return None
        if not wait.channel:
            yield wait
            return None
        return (yield from self._listen(state, wait))

    def _listen(self, state: PollState, wait: Wait) -> Program[bool | None]:
        self._state = replace(state, missed=False)
        try:
            message: Message = yield wait
        except (RedisError, OSError) as error:
            # After a lost connection the next wait subscribes again. A subscription that the server refuses is given up.
            refused = isinstance(error, ResponseError) and not is_transient(error)
            self._state = replace(self._state, can_subscribe=not refused)
            poll = replace(self._state, can_subscribe=False)
            yield next_wait(poll, self._policy, self._now(), "") or Wait(0.0)
            return None
        if isinstance(message, bytes | str):
            turn_s = until_turn_s(self._now(), followers_of(message), self._phase)
            if turn_s:
                yield Wait(turn_s)
        return message is not None

    def _on_failure(self, state: PollState, error: Exception) -> None:
        if not state.failures:
            _log.warning(
                "cannot read run %s, retrying: %s: %s", self._run.run_id, type(error).__name__, error
            )
        self._state = replace(state, failures=state.failures + 1)

    def _on_success(self, *, changed: bool, notified: bool | None) -> PollState:
        now = self._now()
        before = self._state or PollState(now, now)
        if before.failures:
            _log.warning("can read run %s again, after %d failures", self._run.run_id, before.failures)
        after = replace(before, read_at=now, failures=0)
        if changed:
            after = replace(after, changed_at=now, missed=notified is False)
        self._state = after
        return after


def until_turn_s(now: float, followers: float, phase: float) -> float:
    """Return the seconds until a follower's turn; 0 if there are few followers, so that they need no turns.

    Args:
        now: by the follower's clock.
        followers: the number of followers that take turns.
        phase: 0 to 1, the position of the turn in a round.
    """
    round_s = followers / _READS_PER_S
    return (phase - now / round_s) % 1.0 * round_s if round_s > MIN_INTERVAL_S else 0.0


def followers_of(notification: bytes | str) -> float:
    """Return the number of followers that a notification reports; 1 if it reports none."""
    try:
        reported = json.loads(notification)["followers"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return 1
    return min(reported, _READS_PER_S * _MAX_ROUND_S) if isinstance(reported, int) else 1
