"""Durations of membership changes without mishaps: a worker joins, one is stopped, one is killed."""

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, cast

from redis import Redis
from redis.exceptions import RedisError

from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.worker.assignment import owner_of
from tests.support.waiting import wait_until
from tests.system.chaos.fleet import Fleet
from tests.system.chaos.watch import Seen, look

#: Seconds between two events of each run: how exact the figures are.
_TICK_S = 0.1

#: Seconds that any change may take.
_PATIENCE_S = 60.0


class Change(NamedTuple):
    """One change of the membership.

    Args:
        what: what was done.
        seconds: until every run that had to move was folded by its new owner; for a worker that joins, since it
            said that it is there.
        since_start_s: for a worker that joins, since its process was started.
        moved: runs that had to move.
        moved_needlessly: runs that had to stay, and were taken over.
    """

    what: str
    seconds: float
    since_start_s: float
    moved: int
    moved_needlessly: int


class Ticks:
    """A thread that puts a small event into every run, again and again."""

    def __init__(self, client: Redis, runs: list[str]) -> None:
        self._client = client
        self._runs = runs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ticks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        number = 0
        while not self._stop.wait(_TICK_S):
            number += 1
            with suppress(RedisError, OSError):
                pipeline = self._client.pipeline(transaction=False)
                for run in self._runs:
                    event = f'{{"data":{{"number":{number}}}}}'
                    pipeline.xadd(RunKeys(run).events, {"type": "TICK", "json": event})
                now_ms = int(time.time() * 1000)
                pipeline.execute_command("ZADD", keys.runs(), *_scores(self._runs, now_ms))
                pipeline.execute()


def members(client: Redis) -> set[str]:
    """Return the workers that count as alive."""
    now_s, now_us = client.time()
    alive = client.zrangebyscore(keys.workers(), now_s * 1000 + now_us // 1000, "+inf")
    return {worker.decode() for worker in cast("list[bytes]", alive)}


def _scores(runs: list[str], now_ms: int) -> list[int | str]:
    return [item for run in runs for item in (now_ms, run)]


@dataclass
class Measure:
    """Changes the membership of a calm fleet, and measures.

    Args:
        client: past everything that is broken on purpose.
        fleet: its workers fold the runs.
        runs: into which something is put all the time.
    """

    client: Redis
    fleet: Fleet
    runs: list[str]

    def all(self) -> list[Change]:
        """Let one join, one go, one be killed, and one join again."""
        self._await_owners(time.monotonic())
        return [
            self._joins(),
            self._goes("a worker is stopped", self.fleet.remove),
            self._goes("a worker is killed", self.fleet.kill),
            self._joins(),
        ]

    def _joins(self) -> Change:
        before, seen = self._members(), look(self.client, self.runs)
        started = time.monotonic()
        self.fleet.add()
        wait_until(lambda: self._members() - before, "the worker joins", _PATIENCE_S)
        return self._change("a worker joins", before, seen, time.monotonic(), started)

    def _goes(self, what: str, end: Callable[[subprocess.Popen[bytes]], None]) -> Change:
        before, seen = self._members(), look(self.client, self.runs)
        process = self.fleet.running[0]
        gone = {worker for worker in before if f"-{process.pid}-" in worker}
        began = time.monotonic()
        end(process)
        wait_until(lambda: not self._members() & gone, "the worker is forgotten", _PATIENCE_S)
        return self._change(what, before, seen, began, began)

    def _change(
        self, what: str, before: set[str], seen: dict[str, Seen], began: float, started: float
    ) -> Change:
        after, done = self._members(), self._await_owners(began)
        must = {run for run in self.runs if owner_of(run, before) != owner_of(run, after)}
        now = look(self.client, self.runs)
        stayed = set(self.runs) - must
        needless = sum(now[run].generation != seen[run].generation for run in stayed)
        return Change(what, done - began, done - started, len(must), needless)

    def _members(self) -> set[str]:
        return members(self.client)

    def _await_owners(self, began: float) -> float:
        """Wait until every run was folded by the worker that it belongs to; return when the last one was."""
        owned_at: dict[str, tuple[str, str]] = {}
        folded: set[str] = set()

        def done() -> bool:
            members = self._members()
            for run, seen in look(self.client, self.runs).items():
                if seen.owner != owner_of(run, members):
                    folded.discard(run)
                    owned_at.pop(run, None)
                    continue
                at = owned_at.setdefault(run, (seen.owner, seen.version))
                if at[0] != seen.owner:
                    owned_at[run] = (seen.owner, seen.version)
                elif at[1] != seen.version:
                    folded.add(run)
            return len(folded) == len(self.runs)

        wait_until(done, "every run is folded by its owner", max(_PATIENCE_S, began - time.monotonic()))
        return time.monotonic()
