"""The worker: finds runs, and folds each in a task of its own."""

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

import structlog
from redis.exceptions import AuthenticationError, RedisError

from sanctum_bus import catalog
from sanctum_bus.connection import connect_async, redacted
from sanctum_bus.errors import BadInput, ConfigurationError
from sanctum_bus.keys import RunKeys
from sanctum_bus.run_loop import RunLoop, trouble_of
from sanctum_bus.settings import Settings
from sanctum_bus.store import RunStore, check_server, discover, publish_catalog

_log = structlog.get_logger()


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
        self._client = connect_async(url, timeout_s=settings.socket_timeout_s)
        self._blocking = connect_async(url, timeout_s=settings.socket_timeout_s + settings.block_ms / 1000)
        self._stop = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.loops: dict[str, RunLoop] = {}

    def stop(self) -> None:
        """Stop reading, commit what is folded, and return from `follow` or `drain`."""
        self._stop.set()

    async def follow(self) -> None:
        """Fold every run there is and will be, until told to stop.

        Raises:
            ConfigurationError: the server will not do, or refuses the credentials.
        """
        try:
            await self._begin(patient=True)
            next_scan, clock = 0.0, asyncio.get_running_loop().time
            while not self._stop.is_set():
                scan = self.settings.scan_s > 0 and clock() >= next_scan
                next_scan = clock() + self.settings.scan_s if scan else next_scan
                await self._look_around(scan=scan)
                self._raise_defects()
                await self._pause()
        finally:
            await self._end()

    async def drain(self, only: frozenset[str] = frozenset()) -> int:
        """Fold what every stream holds now, commit it, and return how many runs there were.

        Args:
            only: runs to drain; all where it is empty.

        Raises:
            ConfigurationError: the server will not do, or refuses the credentials.
            BadInput: a run that was asked for does not exist.
            StartOver: a key of a run has the wrong type.
            RedisError: the server could not be asked.
        """
        try:
            await self._begin(patient=False)
            found = await discover(self._client, self.settings.key_prefix, scan=True)
            missing = only - found
            if missing:
                raise BadInput(f"no such run: {', '.join(sorted(missing))}")
            for run_id in sorted(only or found):
                await self._loop_of(run_id).drain(self._stop)
            return len(only or found)
        finally:
            await self._end()

    async def _begin(self, *, patient: bool) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                server = await check_server(self._client)
                await publish_catalog(self._client, self.settings.key_prefix, catalog.declared())
            except AuthenticationError as error:
                raise ConfigurationError(
                    f"the server refuses the credentials of SANCTUM_REDIS_URL: {error}"
                ) from None
            except (RedisError, OSError) as error:
                if not patient:
                    raise
                attempt += 1
                if attempt == 1:
                    url = redacted(self.settings.redis_url.get_secret_value())
                    _log.warning("waiting for the server", url=url, error=str(error)[:300])
                await self._pause()
            else:
                _log.info("worker started", worker=self.id, server=server)
                return

    async def _look_around(self, *, scan: bool) -> None:
        try:
            found = await discover(self._client, self.settings.key_prefix, scan=scan)
        except Exception as error:
            if trouble_of(error) is None:
                raise
            _log.debug("discovery failed", error=str(error)[:300])
            return
        for run_id in sorted(found - self._tasks.keys()):
            try:
                loop = self._loop_of(run_id)
            except BadInput as error:
                _log.warning("not a run", name=run_id[:200], error=str(error))
                continue
            self._tasks[run_id] = asyncio.create_task(loop.follow(self._stop), name=run_id)

    def _loop_of(self, run_id: str) -> RunLoop:
        keys = RunKeys(run_id, self.settings.key_prefix)
        store = RunStore(self._client, self._blocking, keys, self.settings)
        loop = self.loops[run_id] = RunLoop(run_id, store, self.settings, self.id)
        return loop

    def _raise_defects(self) -> None:
        for task in self._tasks.values():
            if task.done() and not task.cancelled() and task.exception() is not None:
                task.result()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), self.settings.discovery_s)
        except TimeoutError:
            return

    async def _end(self) -> None:
        self._stop.set()
        tasks = self._tasks.values()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.settings.grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        events = sum(
            loop.owned.aggregate.counters.events for loop in self.loops.values() if loop.owned is not None
        )
        _log.info("worker stopped", worker=self.id, runs=len(self.loops), events=events)
        await self._client.aclose()
        await self._blocking.aclose()


@contextmanager
def signals(worker: Worker) -> Iterator[None]:
    """Let SIGTERM and SIGINT stop a worker; a second one exits at once."""
    loop = asyncio.get_running_loop()
    told = False

    def on_signal() -> None:
        nonlocal told
        if told:
            _exit_now()
        told = True
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _exit_now() -> Never:
    os._exit(1)
