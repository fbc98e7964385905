"""The loop over one run: acquire, fold, wait, release.

There is one recovery path. After any refusal or error, the loop discards the state in memory and acquires the run again
from its checkpoint. Restarts are frequent, so the path is well tested.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars

from sanctum_bus.connection.retry import error_kind
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.worker.failures import FailureKind, Recovery, classify
from sanctum_bus.worker.malloc import trim
from sanctum_bus.worker.metrics.recorder import RunMetrics
from sanctum_bus.worker.pipeline import Pipeline
from sanctum_bus.worker.session import RunSession, restore
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.store import RunStore

_log = structlog.get_logger()

#: Failures in a row after which `drain` raises.
_DRAIN_FAILURES = 8

#: Seconds between two updates of a run's last activity in the index of runs.
_MARK_ACTIVE_S = 5.0

#: Entries of one commit after which a run that has caught up returns free memory to the operating system.
_MANY = 1000

#: Runs of a worker that catch up at the same time. More would not be faster, and each holds thousands of entries.
BUSY_RUNS = 4

#: One state of the loop: does its work, and returns the next state, or None at the end.
_State = Callable[[asyncio.Event], Awaitable[Any]]


@asynccontextmanager
async def _slot(slots: asyncio.Semaphore, stop: asyncio.Event) -> AsyncIterator[bool]:
    """Wait for a slot and keep it for the block; yield False if the loop was stopped before it had one."""
    waiting, stopping = asyncio.ensure_future(slots.acquire()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        yield not stop.is_set()
    finally:
        stopping.cancel()
        # Not cancelled: a semaphore of Python 3.11 may then fail to wake the next waiter.
        if waiting.done():
            slots.release()
        else:
            waiting.add_done_callback(lambda _: slots.release())


@asynccontextmanager
async def cancel_when(ending: asyncio.Task[bool]) -> AsyncIterator[None]:
    """Cancel the block when a task ends, and continue behind the block."""
    now = asyncio.get_running_loop().time
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as timeout:

            def end(_: object) -> None:
                # The block may have ended in the same turn of the event loop.
                with suppress(RuntimeError):
                    timeout.reschedule(now())

            ending.add_done_callback(end)
            try:
                yield
            finally:
                ending.remove_done_callback(end)


async def _yes() -> bool:
    return True


@dataclass
class RunLoop:
    """The loop of a worker over one run.

    Args:
        run_id: the run.
        store: the run's keys.
        settings: of the worker.
        owner: ID of the worker.
        still_mine: returns whether the run is still assigned to this worker; called before each acquisition.
        mark_active: updates the run's last activity in the index of runs.
        catch_up_slots: limits the runs that catch up at the same time; shared by the runs of a worker.
        metrics: counts what this loop does.

    Attributes:
        session: the run while this worker owns it.
        is_mine: what `still_mine` returned last.
        is_gone: the last acquisition found neither a stream nor a snapshot.
        commits: number of commits, empty ones included.
    """

    run_id: str
    store: RunStore
    settings: Settings
    owner: str
    still_mine: Callable[[str], Awaitable[bool]] = field(default=lambda _: _yes())
    mark_active: Callable[[str], Awaitable[None]] | None = None
    catch_up_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BUSY_RUNS))
    metrics: RunMetrics = field(default_factory=RunMetrics)
    session: RunSession | None = None
    is_mine: bool = True
    is_gone: bool = False
    commits: int = 0
    _recovery: Recovery = field(default_factory=Recovery)
    _active_at: float = field(default_factory=time.monotonic)
    _marked_at: float = -math.inf

    def __post_init__(self) -> None:
        self._pipeline = Pipeline(self.store, self.settings, self.metrics, self.catch_up_slots)

    async def run(self, stop: asyncio.Event) -> None:
        """Fold the run until it is stopped, assigned to another worker, or idle.

        Failures restart the run. A defect, which is any error that `classify` does not list, is raised.
        """
        stopping = asyncio.create_task(stop.wait())
        state: _State | None = self._acquire
        try:
            while state is not None and not stop.is_set():
                if state == self._wait:
                    # The next owner reads the entries that a cancelled read has delivered.
                    async with cancel_when(stopping):
                        state = await self._attempt(state, stop)
                else:
                    state = await self._attempt(state, stop)
            await self._release()
        finally:
            stopping.cancel()

    async def drain(self, stop: asyncio.Event) -> None:
        """Fold and commit the entries that the stream has, and return.

        Raises:
            RestartRun, RedisError: the failure that several attempts did not overcome.
        """
        state: _State | None = self._acquire
        while state not in (None, self._rest) and not stop.is_set():
            # After a commit there may be more entries: only an empty read ends the drain.
            step = self._fold if state == self._wait else state
            state = await self._attempt(step, stop, max_failures=_DRAIN_FAILURES)
        await self._finish()

    async def _attempt(
        self, state: _State, stop: asyncio.Event, *, max_failures: float = math.inf
    ) -> _State | None:
        """Do the work of a state, and return the next one; after a failure, recover and acquire the run again."""
        self.metrics.tick()
        streak = self._recovery.streak
        try:
            following: _State | None = await state(stop)
        except Exception as error:
            kind = classify(error)
            if kind is None or streak.failures >= max_failures:
                raise
            await self._recover(error, kind, stop)
            return self._acquire
        # An acquisition alone proves nothing: the fold that failed comes after it.
        if self.session is not None and state != self._acquire and (failures := streak.reset()):
            _log.info("run recovered", failures=failures)
        return following

    async def _acquire(self, _: asyncio.Event) -> _State | None:
        """Acquire the run, and load its snapshot."""
        recovery = self._recovery
        self.is_mine = await self.still_mine(self.run_id)
        if not self.is_mine:
            return None
        lease = await self.store.acquire(self.owner, blameless=recovery.blameless)
        self.is_gone = lease is None
        if lease is None:
            return self._rest
        loaded = await self.store.load(lease)
        aggregate = restore(lease, loaded, recovery.memo, max_envs=self.settings.max_envs)
        self.session = RunSession(lease, aggregate)
        self.metrics.acquired(lease, aggregate.counters)
        bind_contextvars(generation=lease.generation)
        if not recovery.blameless:
            _log.info("run acquired", **lease._asdict())
        recovery.blameless = False
        return self._fold if lease.has_stream else self._rest

    async def _fold(self, stop: asyncio.Event) -> _State:
        """Read, fold and commit one batch."""
        session = self.session
        if session is None:
            return self._acquire
        await self._pipeline.prefetch(session)
        if session.expects_more:
            entries = await self._catch_up(session, stop)
        else:
            # Few entries: they are folded at once, however busy other runs are.
            entries = await self._committed(await self._pipeline.fold(session))
        if session.is_behind:
            return self._fold
        return self._wait if entries else self._rest

    async def _catch_up(self, session: RunSession, stop: asyncio.Event) -> int:
        """Fold many entries, at the same time as only a few other runs; return the number of committed entries."""
        self.metrics.pause()
        async with _slot(self.catch_up_slots, stop) as admitted:
            self.metrics.tick()
            entries = await self._committed(await self._pipeline.fold(session)) if admitted else 0
        if entries >= _MANY and not session.expects_more:
            trim()
        return entries

    async def _committed(self, entries: int) -> int:
        self.commits += 1
        self._recovery.memo.reset()
        if entries:
            self._active_at = time.monotonic()
            await self._mark_active()
        return entries

    async def _mark_active(self) -> None:
        if self.mark_active is not None and time.monotonic() - self._marked_at >= _MARK_ACTIVE_S:
            self._marked_at = time.monotonic()
            # The index only helps to find runs; the entries are committed without it.
            with suppress(RedisError, OSError):
                await self.mark_active(self.run_id)

    async def _rest(self, _: asyncio.Event) -> _State | None:
        """Release the run if it had no event for `idle_timeout_s`. An XADD at that moment prevents it."""
        if time.monotonic() - self._active_at < self.settings.idle_timeout_s:
            return self._wait
        if self.session is not None and not await self.store.make_idle(self.session.lease):
            return self._wait
        self.session = None
        _log.info("run idle")
        return None

    async def _wait(self, _: asyncio.Event) -> _State:
        """Wait for entries, at most `poll_timeout_ms`."""
        session = self.session
        if session is not None and session.lease.has_stream:
            await self._pipeline.wait_for_entries(session)
            return self._fold
        if await self.store.wait(ZERO):
            # A stream appeared: only an acquisition creates its group.
            self.session = None
        return self._acquire if self.session is None else self._rest

    async def _release(self) -> None:
        """Commit what was read, and release the run. After a failure, the next owner reads the entries again."""
        await self._finish()
        if self.session is not None:
            # Only for people and tools: the next owner has a greater generation and needs no permission.
            with suppress(Exception):
                await self.store.release(self.session.lease)

    async def _finish(self) -> None:
        session = self.session
        if session is not None and (session.in_flight.ids or session.ahead):
            with suppress(Exception):
                await self._committed(await self._pipeline.finish(session))

    async def _recover(self, error: BaseException, kind: FailureKind, stop: asyncio.Event) -> None:
        """Discard the state in memory, and wait before the next attempt."""
        self.session = None
        self.metrics.restarted(error)
        setback = self._recovery.record(error, random.random())  # noqa: S311  # jitter is not a secret
        if setback.is_news:
            _log.warning(
                "run reloaded",
                cause=kind.value,
                kind=error_kind(error),
                failures=self._recovery.streak.failures,
                error=str(error)[:300],
            )
        if setback.wait_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(setback.wait_s):
                    await stop.wait()
