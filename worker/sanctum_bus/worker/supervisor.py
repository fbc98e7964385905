"""The worker: owns the tasks of a process, one for each run and a few in the background."""

import asyncio
import os
import secrets
import socket
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
from sanctum_bus.worker.background import Background
from sanctum_bus.worker.discovery import Discovery
from sanctum_bus.worker.failures import classify
from sanctum_bus.worker.membership import Membership
from sanctum_bus.worker.metrics.recorder import WorkerMetrics
from sanctum_bus.worker.registry import Registry
from sanctum_bus.worker.retention import Retention
from sanctum_bus.worker.run_loop import BUSY_RUNS, RunLoop
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.status import POLL_INTERVAL_S, poll_lag
from sanctum_bus.worker.store import RunStore

_log = structlog.get_logger()

#: Connections of a worker in addition to one for each waiting run.
_SPARE_CONNECTIONS = 16

#: Seconds between two searches for expired runs if the scan is turned off.
_RETENTION_INTERVAL_S = 60.0


class _RunTask(NamedTuple):
    """The task of one run, and the event that ends it."""

    task: asyncio.Task[None]
    stop: asyncio.Event


class Worker:
    """Discovers runs, and folds those that belong to this worker.

    Args:
        settings: of the worker.
        label: the readable part of the ID. The rest is random and new at each start.

    Attributes:
        settings: of the worker.
        id: unique for each start.
        metrics: the counts since the start.
        loops: the loop of each run that this worker folds.
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
        self.metrics = WorkerMetrics(self.id, settings.lease_s, settings.health_timeout_s)
        self.loops: dict[str, RunLoop] = {}
        self._registry = Registry(self._client, settings.key_prefix)
        self._membership = Membership(self._registry, self.id, settings.lease_s, self.metrics)
        self._discovery = Discovery(
            self._registry, settings.idle_timeout_s, scans_streams=settings.scan_interval_s > 0
        )
        self._retention = Retention(self._registry, self._membership, settings.retention_s)
        self._stop, self._catch_up_slots = asyncio.Event(), asyncio.Semaphore(BUSY_RUNS)
        self._background = Background(self._stop, self.metrics)
        self._tasks: dict[str, _RunTask] = {}

    def stop(self) -> None:
        """Stop reading and commit what is folded; `run` or `drain` then returns."""
        self._stop.set()

    async def run(self) -> None:
        """Fold this worker's share of all current and future runs until `stop` is called.

        Raises:
            ConfigurationError: a setting is wrong, the server lacks a feature, or it rejects the credentials.
        """
        with self._metrics_server():
            await self._run()

    def _metrics_server(self) -> AbstractContextManager[None]:
        if not self.settings.metrics_port:
            return nullcontext()
        # The Prometheus client is an optional dependency.
        from sanctum_bus.worker.metrics.http import metrics_server  # noqa: PLC0415

        return metrics_server(self.metrics, self.settings)

    async def _run(self) -> None:
        background = self._background
        try:
            await self._connect(patient=True)
            scan_interval_s = self.settings.scan_interval_s or _RETENTION_INTERVAL_S
            background.start("scan", self._scan, scan_interval_s)
            background.start("lag_poll", self._poll_lag, POLL_INTERVAL_S)
            while not self._stop.is_set():
                systemd.notify_alive()
                await background.attempt("discovery", self._discover)
                background.raise_defects()
                self._collect_ended_runs()
                await background.pause(self.settings.heartbeat_interval_s)
        finally:
            await background.cancel()
            await self._shut_down()

    async def drain(self, only: frozenset[str] = frozenset()) -> int:
        """Fold and commit what the streams hold now, and return the number of runs.

        Args:
            only: the runs to drain; empty: all runs.

        Raises:
            ConfigurationError: the server lacks a feature, or rejects the credentials.
            InvalidArgument: a run in `only` does not exist.
            RestartRun, RedisError: a run could not be folded, or the server is unavailable.
        """
        try:
            await self._connect(patient=False)
            found = await self._registry.scan() | {
                one for one in await self._registry.registered() if is_run_id(one)
            }
            missing = only - found
            if missing:
                raise InvalidArgument(
                    f"no such run: {', '.join(sorted(missing))}; 'sanctum runs' lists the runs on this server"
                )
            failed = [error for run_id in sorted(only or found) if (error := await self._drain_run(run_id))]
            if failed:
                raise failed[0]
            return len(only or found)
        finally:
            await self._shut_down()

    async def _drain_run(self, run_id: str) -> Exception | None:
        """Drain one run; return its error instead of raising it, so that the other runs are drained too."""
        with bound_contextvars(run=run_id, generation=""):
            try:
                await self._loop_of(run_id).drain(self._stop)
            except Exception as error:
                if classify(error) is None:
                    raise
                _log.exception("drain failed")
                return error
        return None

    async def _connect(self, *, patient: bool) -> None:
        """Wait until the server can be used; with `patient`, also if it is unavailable."""
        bind_contextvars(worker=self.id)
        while not self._stop.is_set():
            systemd.notify_alive()
            self.metrics.tick("discovery")
            try:
                server = await self._registry.check_server()
            except (RedisError, OSError) as error:
                url = self.settings.redis_url.get_secret_value()
                refusal = await permanent_error_async(error, url)
                if refusal is not None:
                    raise refusal from None
                if not patient or isinstance(error, NoPermissionError):
                    raise
                if self.metrics.record_failure("discovery", error):
                    _log.warning("redis unavailable", url=redacted(url), error=str(error)[:300])
                await self._background.pause(self.settings.heartbeat_interval_s)
            else:
                await self._prepare_server()
                failures = self.metrics.record_success("discovery")
                _log.info("worker started", server=server, failures=failures)
                return

    async def _prepare_server(self) -> None:
        """Publish the catalog, and check the eviction policy. Failures are ignored: a full server must be drained."""
        with suppress(RedisError, OSError):
            await self._registry.publish_catalog(catalog.declared())
        with suppress(RedisError, OSError):
            if policy := await self._registry.eviction_policy():
                _log.warning("unsafe maxmemory-policy", policy=policy)

    async def _discover(self) -> None:
        """Renew the lease, find the active runs, and fold exactly this worker's share."""
        now_ms = await self._membership.heartbeat()
        try:
            active = await self._discovery.active(now_ms)
        except ResponseError:
            # The runs that are known without the index are reassigned anyway.
            self._reassign(set())
            raise
        self._reassign(active)

    def _reassign(self, active: set[str]) -> None:
        unread = self._discovery.unread
        runs = {run_id for run_id in active | unread | self._tasks.keys() if is_run_id(run_id)}
        mine = self._membership.share_of(runs)
        for run_id, run_task in self._tasks.items():
            # If the index has the run, its first event may be on its way.
            if run_id not in mine or (self.loops[run_id].is_gone and run_id not in active):
                run_task.stop.set()
        waiting = sorted(mine - self._tasks.keys())
        room = max(0, self.settings.max_runs - len(self._tasks))
        self._report_waiting(max(0, len(waiting) - room))
        for run_id in waiting[:room]:
            unread.discard(run_id)
            stop = asyncio.Event()
            task = asyncio.create_task(self._fold(self._loop_of(run_id), stop))
            self._tasks[run_id] = _RunTask(task, stop)

    async def _fold(self, loop: RunLoop, stop: asyncio.Event) -> None:
        bind_contextvars(run=loop.run_id)
        await loop.run(stop)

    async def _scan(self) -> None:
        """Find runs with unread entries, and remove the expired ones."""
        folding = self._tasks.keys()
        registered = await self._discovery.scan(folding)
        await self._retention.expire(registered, folding)

    async def _poll_lag(self) -> None:
        """Query the lag of the runs, and publish the status of this worker."""
        versions = {run_id: loop.session.version for run_id, loop in self.loops.items() if loop.session}
        await poll_lag(self._registry, self.metrics, versions, self._membership.workers)

    def _loop_of(self, run_id: str) -> RunLoop:
        store = RunStore(
            self._client, self._blocking, RunKeys(run_id, self.settings.key_prefix), self.settings
        )
        loop = RunLoop(
            run_id,
            store,
            self.settings,
            self.id,
            still_mine=self._membership.still_mine,
            mark_active=self._registry.mark_active,
            catch_up_slots=self._catch_up_slots,
            metrics=self.metrics.add_run(run_id),
        )
        self.loops[run_id] = loop
        return loop

    def _report_waiting(self, waiting: int) -> None:
        if waiting != self.metrics.waiting:
            self.metrics.waiting = waiting
            _log.warning("run limit reached", waiting=waiting, max_runs=self.settings.max_runs)

    def _collect_ended_runs(self) -> None:
        """Remove the runs whose task has ended. If the task ended with a defect, raise it: it ends the worker."""
        for run_id, run_task in list(self._tasks.items()):
            if run_task.task.done():
                del self._tasks[run_id]
                self.loops.pop(run_id, None)
                self.metrics.remove_run(run_id)
                run_task.task.result()

    async def _shut_down(self) -> None:
        self._stop.set()
        systemd.notify_stopping()
        for run_task in self._tasks.values():
            run_task.stop.set()
        tasks = [run_task.task for run_task in self._tasks.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.settings.shutdown_timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(Exception):
            await self._membership.leave()
        _log.info("worker stopped", runs=len(self.loops))
        await self._client.aclose()
        await self._blocking.aclose()
