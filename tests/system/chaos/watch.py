"""Reads every run repeatedly, and measures for how long each made no progress.

A run makes no progress while its stream holds unread entries and its version does not change. While the
server is unavailable, the time counts toward the current stall, if there is one.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from redis import Redis
from redis.exceptions import RedisError

from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.stream_id import ZERO

#: Seconds between two looks, and so how exact the figures are.
LOOK_S = 0.05


class Stall(NamedTuple):
    """A time in which a run was not folding, in seconds of the monotonic clock."""

    run: str
    began: float
    seconds: float


class Seen(NamedTuple):
    """One look at one run; empty texts where there is nothing yet."""

    last: str
    version: str
    generation: str
    owner: str


@dataclass
class Watch:
    """A thread that looks.

    Args:
        connect: makes a client, again after each failure.
        runs: what to look at.
        stalls: what was seen.
        generations: those of each run.
        seconds: how long it looked, once it has stopped.
    """

    connect: Callable[[], Redis]
    runs: list[str]
    stalls: list[Stall] = field(default_factory=list)
    generations: dict[str, set[str]] = field(default_factory=dict)
    seconds: float = 0.0
    _since: dict[str, float] = field(default_factory=dict)
    _before: dict[str, Seen] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self.seconds = -time.monotonic()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what has not ended by then has lasted until now."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        now = time.monotonic()
        self.seconds += now
        self.stalls += [Stall(run, since, now - since) for run, since in self._since.items()]

    @property
    def take_overs(self) -> int:
        """How often runs were taken over, as far as was seen."""
        return sum(map(len, self.generations.values()))

    def note(self, run: str, seen: Seen, now: float) -> None:
        """Take one look at one run in."""
        before = self._before.get(run)
        self._before[run] = seen
        if seen.generation:
            self.generations.setdefault(run, set()).add(seen.generation)
        behind = seen.last != seen.version
        moved = before is not None and before.version != seen.version
        since = self._since.get(run)
        if since is not None and (moved or not behind):
            self.stalls.append(Stall(run, since, now - since))
            del self._since[run]
        if behind and (since is None or moved):
            self._since[run] = now

    def _work(self) -> None:
        client: Redis | None = None
        while not self._stop.wait(LOOK_S):
            try:
                client = client or self.connect()
                for run, seen in look(client, self.runs).items():
                    self.note(run, seen, time.monotonic())
            except (RedisError, OSError):
                client = None


def look(client: Redis, runs: list[str]) -> dict[str, Seen]:
    """Look at runs in one round trip."""
    pipeline: Any = client.pipeline(transaction=False)
    for run in runs:
        keys = RunKeys(run)
        pipeline.xrevrange(keys.events, count=1)
        pipeline.hmget(keys.checkpoint, "version", "generation", "owner")
    replies = cast("list[Any]", pipeline.execute())
    found = {}
    for run, last, known in zip(runs, replies[::2], replies[1::2], strict=True):
        version, generation, owner = [(text or b"").decode() for text in known]
        found[run] = Seen(last[0][0].decode() if last else ZERO, version or ZERO, generation, owner)
    return found
