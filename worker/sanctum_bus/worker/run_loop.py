"""One run: take over, read, fold, commit.

There is one recovery path. Any refusal, any error, any doubt: throw the state in memory away and take the run over
again from its checkpoint. So it is exercised all the time.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars

from sanctum_bus.connection.retry import backoff_s, error_kind
from sanctum_bus.errors import RestartRun
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.worker.failures import FailureKind, classify
from sanctum_bus.worker.malloc import trim
from sanctum_bus.worker.metrics.recorder import RunMetrics
from sanctum_bus.worker.pipeline import Pipeline
from sanctum_bus.worker.session import RunSession
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.store import RunStore

_log = structlog.get_logger()

#: Failures in a row after which a drain gives up: nobody waits for it to heal by itself.
_DRAIN_FAILURES = 8

#: Seconds between two notes in the index that a run is active.
_TOUCH_S = 5.0

#: Entries of one commit after which a run that has caught up leaves memory behind that is worth to be given back.
_MANY = 1000

#: Runs that one worker lets catch up at the same time: more are no faster, and each holds thousands of entries.
BUSY_RUNS = 4


@asynccontextmanager
async def _place_in(queue: asyncio.Semaphore, stop: asyncio.Event) -> AsyncIterator[bool]:
    """Wait for a place and keep it for the block; False where the loop was told to stop before it had one."""
    waiting, stopping = asyncio.ensure_future(queue.acquire()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        yield not stop.is_set()
    finally:
        stopping.cancel()
        # Not cancelled: a semaphore of Python 3.11 may then forget to wake the next.
        if waiting.done():
            queue.release()
        else:
            waiting.add_done_callback(lambda _: queue.release())


@asynccontextmanager
async def until(ending: asyncio.Task[bool]) -> AsyncIterator[None]:
    """End the block, wherever it is, when a task ends."""
    now = asyncio.get_running_loop().time
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as patience:

            def end(_: object) -> None:
                # The block may have ended in the same turn of the event loop.
                with suppress(RuntimeError):
                    patience.reschedule(now())

            ending.add_done_callback(end)
            try:
                yield
            finally:
                ending.remove_done_callback(end)


async def _yes() -> bool:
    return True


@dataclass
class RunLoop:
    """The owner's loop over one run.

    Args:
        owner: the worker's id.
        may_own: asks whether the run is still this worker's; before it is taken over again, and not only once.
        is_mine: what it answered last.
        is_gone: the last take-over found neither a stream nor a snapshot.
        touch: keeps in the index when the run had its last event.
        queue: where runs wait that have much to catch up with; shared by the runs of a worker.
        meter: counts what this loop does.
    """

    run_id: str
    store: RunStore
    settings: Settings
    owner: str
    may_own: Callable[[str], Awaitable[bool]] = field(default=lambda _: _yes())
    touch: Callable[[str], Awaitable[None]] | None = None
    queue: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BUSY_RUNS))
    meter: RunMetrics = field(default_factory=RunMetrics)
    owned: RunSession | None = None
    is_mine: bool = True
    is_gone: bool = False
    commits: int = 0
    _memo: RecoveryMemo = field(default_factory=RecoveryMemo)
    _innocent: bool = False
    _failures: int = 0
    _kind: str = ""
    _active_at: float = field(default_factory=time.monotonic)
    _touched_at: float = -math.inf

    def __post_init__(self) -> None:
        self._batches = Pipeline(self.store, self.settings, self.meter, self.queue)

    async def follow(self, stop: asyncio.Event) -> None:
        """Fold the run until told to stop, until it is another's or has gone to sleep; trouble is never fatal."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self.meter.tick()
                done = await self._try(self._turn, stop)
                if not self.is_mine:
                    return
                if done == 0 and await self._try(self._falls_asleep, stop):
                    return
                if done is not None and not (self.owned and self.owned.is_behind):
                    # What a wait that is given up has read, the next owner reads.
                    async with until(stopping):
                        await self._try(self._wait, stop)
            await self._finish()
            await self._give_up()
        finally:
            stopping.cancel()

    async def drain(self, stop: asyncio.Event) -> None:
        """Fold what the stream holds, commit it, and return.

        Raises:
            StartOver, RedisError: the trouble that did not go away in a few attempts.
        """
        while not stop.is_set():
            if await self._try(self._turn, stop, give_up_after=_DRAIN_FAILURES) == 0:
                return
        await self._finish()

    async def _try(
        self,
        step: Callable[[asyncio.Event], Awaitable[int]],
        stop: asyncio.Event,
        *,
        give_up_after: float = math.inf,
    ) -> int | None:
        """Take a step and return what it returns, or None after trouble: then the run is started over."""
        try:
            done = await step(stop)
        except Exception as error:
            trouble = classify(error)
            if trouble is None or self._failures >= give_up_after:
                raise
            await self._start_over(error, trouble, stop)
            return None
        if self._failures and self.owned is not None:
            _log.info("run recovered", failures=self._failures)
            self._failures, self._kind = 0, ""
        return done

    async def _turn(self, stop: asyncio.Event) -> int:
        """Read, fold and commit once; 0 where there was nothing to read."""
        owned = self.owned or await self._take_over()
        if owned is None or not owned.taken.has_stream:
            return 0
        await self._batches.look(owned)
        if not owned.expects_more:
            # So few are folded at once, however busy others are.
            return await self._committed(await self._batches.fold(owned))
        self.meter.pause()
        async with _place_in(self.queue, stop) as admitted:
            self.meter.tick()
            done = await self._committed(await self._batches.fold(owned)) if admitted else 0
        if done >= _MANY and self.owned is not None and not self.owned.expects_more:
            trim()
        return done

    async def _finish(self) -> None:
        """Commit what was read; should that fail, whoever comes next reads it again."""
        owned = self.owned
        if owned is not None and (owned.held.ids or owned.ahead):
            with suppress(Exception):
                await self._committed(await self._batches.finish(owned))

    async def _committed(self, entries: int) -> int:
        self.commits += 1
        self._memo.reset()
        if entries:
            self._active_at = time.monotonic()
            await self._touch()
        return entries

    async def _touch(self) -> None:
        if self.touch is not None and time.monotonic() - self._touched_at >= _TOUCH_S:
            self._touched_at = time.monotonic()
            # The index is a help to find runs; the run was committed without it.
            with suppress(RedisError, OSError):
                await self.touch(self.run_id)

    async def _falls_asleep(self, _: asyncio.Event) -> bool:
        """Put a run to sleep that had no event for long; an XADD at that very moment keeps it awake."""
        if time.monotonic() - self._active_at < self.settings.idle_timeout_s:
            return False
        if self.owned is None or await self.store.give_up(self.owned.taken, asleep=True):
            _log.info("run idle")
            return True
        return False

    async def _give_up(self) -> None:
        # A courtesy to whoever looks: the next owner needs no leave, for it brings a greater generation.
        if self.owned is not None:
            with suppress(Exception):
                await self.store.give_up(self.owned.taken, asleep=False)

    async def _take_over(self) -> RunSession | None:
        self.is_mine = await self.may_own(self.run_id)
        if not self.is_mine:
            return None
        taken = await self.store.take_over(self.owner, innocent=self._innocent)
        self.is_gone = taken is None
        if taken is None:
            return None
        aggregate = await self.store.load(taken, self._memo)
        self.owned = RunSession(taken, aggregate)
        self.meter.taken_over(taken, aggregate.counters)
        bind_contextvars(generation=taken.generation)
        if not self._innocent:
            _log.info("run acquired", **taken._asdict())
        self._innocent = False
        return self.owned

    async def _wait(self, _: asyncio.Event) -> int:
        owned = self.owned
        if owned is not None and owned.taken.has_stream:
            await self._batches.wait(owned)
        elif await self.store.wait(ZERO):
            self.owned = None
        return 0

    async def _start_over(self, error: BaseException, trouble: FailureKind, stop: asyncio.Event) -> None:
        """Throw the state away; the next turn takes the run over again."""
        self.owned = None
        self._innocent = True
        self.meter.started_over(error)
        if self._memo.record(error):
            return
        self._failures += 1
        kind, word, text = error_kind(error), trouble.name.lower(), str(error)[:300]
        if kind != self._kind:
            self._kind = kind
            _log.warning("run reloaded", trouble=word, kind=kind, failures=self._failures, error=text)
        if isinstance(error, RestartRun) and self._failures == 1:
            return
        delay = backoff_s(self._failures, random.random())  # noqa: S311  # jitter is no secret
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await stop.wait()
