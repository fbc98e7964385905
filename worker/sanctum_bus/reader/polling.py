"""Looking again and again: when something is hinted, at the latest after a while, and until trouble has passed.

A hint is only a hint: it decides when to look and never what there is. A missed one costs at most the poll time.
"""

import json
import logging
import random
import time
from collections.abc import Callable
from typing import Generic, NamedTuple

from redis.exceptions import (
    RedisError,
    ResponseError,
)

from sanctum_bus.connection.retry import backoff_s, is_transient
from sanctum_bus.errors import InvalidArgument, Unavailable
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader.effects import Forget, Heard, Program, T, Wait

_log = logging.getLogger("sanctum_bus.reader")

#: Two looks are at least this far apart, in seconds: hints that come close together are one look.
_LEAST_S = 0.05

#: All that follow one run look so many times a second together: the server has to answer them one after another, between
#: the commits.
_LOOKS_PER_S = 125

#: The longest round in which each has its turn, in seconds, however many followers a hint speaks of.
_LONGEST_ROUND_S = 10.0


#: Without hints it looks at least this often, in seconds.
_LONGEST_DEAF_S = 1.0


class PollPolicy(NamedTuple):
    """How long a follower waits.

    Args:
        poll_s: seconds after which it looks without a hint.
        idle_s: seconds without anything new after which it ends; None: never.
        clock: seconds that only grow.
    """

    poll_s: float
    idle_s: float | None
    clock: Callable[[], float] = time.monotonic

    def checked(self) -> "PollPolicy":
        """Return itself.

        Raises:
            BadInput: a time is not one.
        """
        if self.poll_s <= 0 or (self.idle_s is not None and self.idle_s < 0):
            raise InvalidArgument(f"poll_s ({self.poll_s}) must be above 0, idle_s ({self.idle_s}) not below")
        return self


class Poller(Generic[T]):
    """Looks until there is something new.

    Args:
        look: the program of one look; returns what is new.
        run: whose changes are hinted, and its name for the log.
        patience: how long it waits.
        place: 0 to 1; where in a round its turn is, if there are so many followers that they take turns. At random, so
            that they do not all look at the same hint at once.
    """

    def __init__(
        self,
        look: Callable[[], Program[list[T]]],
        run: RunKeys,
        patience: PollPolicy,
        place: float | None = None,
    ) -> None:
        self._look = look
        self._run = run
        self._poll_s, self._idle_s, self._clock = patience.checked()
        self._looked_at = self._found_at = -1.0
        self._begun = self._deaf = self._missed = False
        self._place = random.random() if place is None else place  # noqa: S311  # no secret either
        self._failures = 0

    def next(self) -> Program[list[T]]:
        """Return what is new, and nothing once nothing was for `idle_s`.

        The first look fails as any call does. After it trouble that passes is waited for, and raised only where it
        lasts until the end of `idle_s`.
        """
        while True:
            hinted = (yield from self._rest()) if self._begun else None
            try:
                found = yield from self._look()
            except (RedisError, OSError, Unavailable) as error:
                if not self._begun or not is_transient(error) or self._is_idle():
                    raise
                self._failed(error)
                continue
            self._succeeded()
            if found:
                self._found_at = self._looked_at
                self._missed = hinted is False
            if found or self._is_idle():
                return found

    def _rest(self) -> Program[bool | None]:
        """Wait until it is time to look; return whether a hint came, None where none could."""
        if self._failures:
            yield Forget()
            yield Wait(backoff_s(self._failures, random.random()))  # noqa: S311  # jitter is no secret
            return None
        yield Wait(max(0.0, self._looked_at + _LEAST_S - self._clock()))
        due = self._looked_at + self._poll_s
        if self._idle_s is not None:
            due = min(due, self._found_at + self._idle_s)
        if due <= self._clock():
            return None
        hinted = None if self._deaf else (yield from self._listen(due))
        if hinted is None:
            yield Wait(min(max(0.0, due - self._clock()), _LONGEST_DEAF_S))
        return hinted

    def _listen(self, due: float) -> Program[bool | None]:
        missed, self._missed = self._missed, False
        try:
            heard: Heard = yield Wait(due - self._clock(), self._run.changed, missed)
        except (RedisError, OSError) as error:
            # Refused by the server, there will be no hints; after a lost connection the next wait subscribes anew.
            self._deaf = isinstance(error, ResponseError) and not is_transient(error)
            return None
        if isinstance(heard, bytes | str):
            turn_s = until_turn_s(self._clock(), followers_of(heard), self._place)
            if turn_s:
                yield Wait(turn_s)
        return heard is not None

    def _is_idle(self) -> bool:
        return self._idle_s is not None and self._clock() >= self._found_at + self._idle_s

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning(
                "cannot read run %s, trying on: %s: %s", self._run.run_id, type(error).__name__, error
            )

    def _succeeded(self) -> None:
        self._looked_at = self._clock()
        if not self._begun:
            self._begun, self._found_at = True, self._looked_at
        if self._failures:
            _log.warning("can read run %s again, after %d failures", self._run.run_id, self._failures)
            self._failures = 0


def until_turn_s(now: float, followers: float, place: float) -> float:
    """Return how long it is until a follower's turn, in seconds; 0 where they are so few that nobody has to wait.

    Args:
        now: by the follower's clock.
        followers: how many take turns.
        place: 0 to 1; where in a round the turn is.
    """
    round_s = followers / _LOOKS_PER_S
    return (place - now / round_s) % 1.0 * round_s if round_s > _LEAST_S else 0.0


def followers_of(hint: bytes | str) -> float:
    """Return how many a hint says to hear it; one that does not say is heard by one."""
    try:
        told = json.loads(hint)["followers"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return 1
    return min(told, _LOOKS_PER_S * _LONGEST_ROUND_S) if isinstance(told, int) else 1
