"""The worker: finds runs, and folds each in a task of its own."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import NamedTuple

import structlog
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from structlog.contextvars import bind_contextvars, bound_contextvars

from sanctum_bus.connection import connect_async, permanent_error_async, redacted
from sanctum_bus.errors import InvalidArgument
from sanctum_bus.events import catalog
from sanctum_bus.protocol.keys import RunKeys, is_run_id
from sanctum_bus.worker import systemd
from sanctum_bus.worker.assignment import owner_of, share_of
from sanctum_bus.worker.failures import classify
from sanctum_bus.worker.lag_poll import POLL_INTERVAL_S, poll_lag
from sanctum_bus.worker.metrics.recorder import WorkerMetrics
from sanctum_bus.worker.registry import Registry
from sanctum_bus.worker.run_loop import BUSY_RUNS, RunLoop
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.store import RunStore

_log = structlog.get_logger()

#: Connections of a worker besides one for each run that waits.
_SPARE_CONNECTIONS = 16

#: Seconds between two looks for runs to remove, where scanning is turned off.
_RETIRE_S = 60.0


class _Folding(NamedTuple):
    """One run at work: its task, and what ends it."""

    task: asyncio.Task[None]
    stop: asyncio.Event


class Worker:
    """A process's worth of runs.

    Args:
        settings: what it was told.
        label: the readable part of its id; the rest is random, new at every start.
    """

    def __init__(self, settings: Settings, *, label: str = "") -> None:
        self.settings = settings
        self.id = f"{label or f'{socket.gethostname()}-{os.getpid()}'}-{secrets.token_hex(4)}"
        url = settings.redis_url.get_secret_value()
        timeout_s, most = settings.socket_timeout_s, settings.max_runs + _SPARE_CONNECTIONS
        self._client = connect_async(url, timeout_s=timeout_s, max_connections=most)
        self._blocking = connect_async(
            url, timeout_s=timeout_s + settings.poll_timeout_ms / 1000, max_connections=most
        )
        self._directory = Registry(self._client, settings.key_prefix)
        self._stop, self._queue = asyncio.Event(), asyncio.Semaphore(BUSY_RUNS)
        self._members: frozenset[str] = frozenset()
        self._now_ms = 0
        self._woken: set[str] = set()
        self._folding: dict[str, _Folding] = {}
        self.tally = WorkerMetrics(self.id, settings.lease_s, settings.health_timeout_s)
        self.loops: dict[str, RunLoop] = {}

    def stop(self) -> None:
        """Stop reading, commit what is folded, and return from `follow` or `drain`."""
        self._stop.set()

    async def follow(self) -> None:
        """Fold this worker's share of all runs there are and will be, until told to stop.

        Raises:
            ConfigurationError: the server will not do, or refuses the credentials.
        """
        with self._served():
            await self._follow()

    def _served(self) -> AbstractContextManager[None]:
        if not self.settings.metrics_port:
            return nullcontext()
        # Who wants no metrics needs no client library of Prometheus.
        from sanctum_bus.worker.metrics.http import serving  # noqa: PLC0415

        return serving(self.tally, self.settings)

    async def _follow(self) -> None:
        beside: list[asyncio.Task[None]] = []
        try:
            await self._begin(patient=True)
            scan_interval_s = self.settings.scan_interval_s or _RETIRE_S
            works = (("scan", self._scan, scan_interval_s), ("watch", self._watch, POLL_INTERVAL_S))
            beside = [asyncio.create_task(self._repeat(*work)) for work in works]
            while not self._stop.is_set():
                systemd.alive()
                await self._attempt("discovery", self._look_around)
                self._raise_defects(beside)
                await self._pause(self.settings.heartbeat_interval_s)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._end()

    async def drain(self, only: frozenset[str] = frozenset()) -> int:
        """Fold what every stream holds now, commit it, and return how many runs there were.

        Args:
            only: runs to drain; all where it is empty.

        Raises:
            ConfigurationError: the server will not do, or refuses the credentials.
            BadInput: a run that was asked for does not exist.
            StartOver, RedisError: a run could not be folded, or the server not be asked.
        """
        try:
            await self._begin(patient=False)
            found = await self._directory.scanned() | {
                one for one in await self._directory.known() if is_run_id(one)
            }
            missing = only - found
            if missing:
                raise InvalidArgument(
                    f"no such run: {', '.join(sorted(missing))}; `sanctum runs` lists what there is on this server"
                )
            failed = [error for run_id in sorted(only or found) if (error := await self._drained(run_id))]
            if failed:
                raise failed[0]
            return len(only or found)
        finally:
            await self._end()

    async def _drained(self, run_id: str) -> Exception | None:
        """Drain one run; return what went wrong with it, so that the others are drained too."""
        with bound_contextvars(run=run_id, generation=""):
            try:
                await self._loop_of(run_id).drain(self._stop)
            except Exception as error:
                if classify(error) is None:
                    raise
                _log.exception("drain failed")
                return error
        return None

    async def _begin(self, *, patient: bool) -> None:
        bind_contextvars(worker=self.id)
        while not self._stop.is_set():
            systemd.alive()
            self.tally.turned("discovery")
            try:
                server = await self._directory.check_server()
            except (RedisError, OSError) as error:
                url = self.settings.redis_url.get_secret_value()
                refusal = await permanent_error_async(error, url)
                if refusal is not None:
                    raise refusal from None
                if not patient or isinstance(error, NoPermissionError):
                    raise
                if self.tally.failed("discovery", error):
                    _log.warning("redis unavailable", url=redacted(url), error=str(error)[:300])
                await self._pause(self.settings.heartbeat_interval_s)
            else:
                # A full server must be drained, not asked for room first.
                with suppress(RedisError, OSError):
                    await self._directory.publish_catalog(catalog.declared())
                with suppress(RedisError, OSError):
                    if policy := await self._directory.evicting():
                        _log.warning("unsafe maxmemory-policy", policy=policy)
                failures = self.tally.done("discovery")
                _log.info("worker started", server=server, failures=failures)
                return

    async def _look_around(self) -> None:
        """Beat, see who is alive and which runs there are, and fold exactly this worker's share."""
        now_ms = await self._beat()
        try:
            active = await self._directory.active(now_ms - int(self.settings.idle_timeout_s * 1000))
        except ResponseError:
            # What is known without the index is shared out all the same.
            self._share_out(set())
            raise
        self._share_out(active)

    def _share_out(self, active: set[str]) -> None:
        runs = {run_id for run_id in active | self._woken | self._folding.keys() if is_run_id(run_id)}
        mine = share_of(self.id, runs, self._members)
        for run_id, folding in self._folding.items():
            # Of a run in the index the first event may be on its way.
            if run_id not in mine or (self.loops[run_id].is_gone and run_id not in active):
                folding.stop.set()
        waiting = sorted(mine - self._folding.keys())
        room = max(0, self.settings.max_runs - len(self._folding))
        self._note_overflow(len(waiting) - room)
        for run_id in waiting[:room]:
            self._woken.discard(run_id)
            stop = asyncio.Event()
            task = asyncio.create_task(self._fold(self._loop_of(run_id), stop))
            self._folding[run_id] = _Folding(task, stop)

    async def _fold(self, loop: RunLoop, stop: asyncio.Event) -> None:
        bind_contextvars(run=loop.run_id)
        await loop.run(stop)

    async def _beat(self) -> int:
        asked_at = time.monotonic()
        membership = await self._directory.beat(self.id, int(self.settings.lease_s * 1000))
        self.tally.beat(asked_at, membership)
        self._now_ms, self._members = membership
        return self._now_ms

    async def _is_mine(self, run_id: str) -> bool:
        await self._beat()
        return owner_of(run_id, self._members) == self.id

    async def _repeat(self, work: str, step: Callable[[], Awaitable[None]], every_s: float) -> None:
        while not self._stop.is_set():
            await self._attempt(work, step)
            await self._pause(every_s)

    async def _attempt(self, work: str, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step of one kind of work; trouble is said when it begins, when it changes and when it ends."""
        try:
            await step()
        except Exception as error:
            if classify(error) is None:
                raise
            if self.tally.failed(work, error):
                _log.warning("task failed", work=work, error=str(error)[:300])
            return
        if failures := self.tally.done(work):
            _log.info("task recovered", work=work, failures=failures)

    async def _scan(self) -> None:
        """Find what the index does not tell: streams that nobody registered, sleepers that moved, runs to remove."""
        streams = await self._directory.scanned() if self.settings.scan_interval_s else set()
        try:
            known = await self._directory.known()
        except ResponseError:
            # Streams are found without the index; how old a run is only the index knows.
            await self._wake(streams)
            raise
        await self._wake(known | streams)
        await self._retire(known)

    async def _wake(self, runs: set[str]) -> None:
        unread = await self._directory.unread(runs - self._folding.keys())
        # Whatever still waits is found again, and what its owner has folded meanwhile is not.
        self._woken = unread - self._folding.keys()

    async def _watch(self) -> None:
        """Ask how far the runs are behind, and say on the server what this worker does."""
        versions = {run_id: loop.session.version for run_id, loop in self.loops.items() if loop.session}
        await poll_lag(self._directory, self.tally, versions, self._members)

    async def _retire(self, known: set[str]) -> None:
        if not self.settings.retention_s or not self._members:
            return
        since_ms = self._now_ms - int(self.settings.retention_s * 1000)
        old = known - await self._directory.active(since_ms) - self._folding.keys()
        resting = await self._directory.at_rest(share_of(self.id, old, self._members), self._members)
        # Who woke up before it was seen at rest is in the index by now; who does later rests there no more.
        for run_id in resting.keys() - await self._directory.active(since_ms):
            if await self._directory.retire(run_id, resting[run_id]):
                _log.info("run expired", run=run_id)

    def _loop_of(self, run_id: str) -> RunLoop:
        store = RunStore(
            self._client, self._blocking, RunKeys(run_id, self.settings.key_prefix), self.settings
        )
        loop = RunLoop(
            run_id,
            store,
            self.settings,
            self.id,
            mark_active=self._directory.touch,
            catch_up_slots=self._queue,
            metrics=self.tally.run(run_id),
        )
        if self._members:
            loop.still_mine = self._is_mine
        self.loops[run_id] = loop
        return loop

    def _note_overflow(self, over: int) -> None:
        over = max(0, over)
        if over != self.tally.waiting:
            self.tally.waiting = over
            _log.warning("run limit reached", waiting=over, max_runs=self.settings.max_runs)

    def _raise_defects(self, beside: list[asyncio.Task[None]]) -> None:
        """Forget runs that have ended; what ended with a defect ends the worker."""
        for task in beside:
            if task.done():
                task.result()
        for run_id, folding in list(self._folding.items()):
            if folding.task.done():
                del self._folding[run_id]
                self.loops.pop(run_id, None)
                self.tally.forget(run_id)
                folding.task.result()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _end(self) -> None:
        self._stop.set()
        systemd.stopping()
        for folding in self._folding.values():
            folding.stop.set()
        tasks = [folding.task for folding in self._folding.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.settings.shutdown_timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._members:
            with suppress(Exception):
                others = await self._directory.beat(self.id, 0)
                await self._directory.tell(self.id, "", others.workers)
        _log.info("worker stopped", runs=len(self.loops))
        await self._client.aclose()
        await self._blocking.aclose()
