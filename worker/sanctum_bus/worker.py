"""The worker: finds runs, and folds each in a task of its own."""

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, Never

import structlog
from redis.exceptions import NoPermissionError, RedisError

from sanctum_bus import catalog
from sanctum_bus.assignment import owner_of, share_of
from sanctum_bus.connection import connect_async, redacted, refusal_of
from sanctum_bus.directory import Directory
from sanctum_bus.errors import BadInput
from sanctum_bus.keys import RunKeys, is_run_id
from sanctum_bus.run_loop import RunLoop
from sanctum_bus.settings import Settings
from sanctum_bus.store import RunStore
from sanctum_bus.trouble import trouble_of

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
            url, timeout_s=timeout_s + settings.block_ms / 1000, max_connections=most
        )
        self._directory = Directory(self._client, settings.key_prefix)
        self._stop = asyncio.Event()
        self._members: frozenset[str] = frozenset()
        self._now_ms = 0
        self._woken: set[str] = set()
        self._folding: dict[str, _Folding] = {}
        self._overflow = 0
        self.loops: dict[str, RunLoop] = {}

    def stop(self) -> None:
        """Stop reading, commit what is folded, and return from `follow` or `drain`."""
        self._stop.set()

    async def follow(self) -> None:
        """Fold this worker's share of all runs there are and will be, until told to stop.

        Raises:
            ConfigurationError: the server will not do, or refuses the credentials.
        """
        scanning = None
        try:
            await self._begin(patient=True)
            scanning = asyncio.create_task(self._scan_now_and_then())
            while not self._stop.is_set():
                await self._look_around()
                self._raise_defects()
                await self._pause(self.settings.discovery_s)
        finally:
            if scanning is not None:
                scanning.cancel()
                await asyncio.gather(scanning, return_exceptions=True)
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
                raise BadInput(
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
        try:
            await self._loop_of(run_id).drain(self._stop)
        except Exception as error:
            if trouble_of(error) is None:
                raise
            _log.exception("not drained", run=run_id)
            return error
        return None

    async def _begin(self, *, patient: bool) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                server = await self._directory.check_server()
            except (RedisError, OSError) as error:
                url = self.settings.redis_url.get_secret_value()
                refusal = await refusal_of(error, url)
                if refusal is not None:
                    raise refusal from None
                if not patient or isinstance(error, NoPermissionError):
                    raise
                failures += 1
                if failures == 1:
                    _log.warning("waiting for the server", url=redacted(url), error=str(error)[:300])
                await self._pause(self.settings.discovery_s)
            else:
                # A full server must be drained, not asked for room first.
                with suppress(RedisError):
                    await self._directory.publish_catalog(catalog.declared())
                _log.info("worker started", worker=self.id, server=server)
                return

    async def _look_around(self) -> None:
        """Beat, see who is alive and which runs there are, and fold exactly this worker's share."""
        try:
            now_ms = await self._beat()
            active = await self._directory.active(now_ms - int(self.settings.idle_s * 1000))
        except Exception as error:
            if trouble_of(error) is None:
                raise
            _log.debug("discovery failed", error=str(error)[:300])
            return
        runs = {run_id for run_id in active | self._woken | self._folding.keys() if is_run_id(run_id)}
        mine = share_of(self.id, runs, self._members)
        for run_id, folding in list(self._folding.items()):
            if run_id not in mine:
                folding.stop.set()
        waiting = sorted(mine - self._folding.keys())
        room = max(0, self.settings.max_runs - len(self._folding))
        self._note_overflow(len(waiting) - room)
        for run_id in waiting[:room]:
            self._woken.discard(run_id)
            stop = asyncio.Event()
            self._folding[run_id] = _Folding(asyncio.create_task(self._loop_of(run_id).follow(stop)), stop)

    async def _beat(self) -> int:
        self._now_ms, self._members = await self._directory.beat(self.id, int(self.settings.alive_s * 1000))
        return self._now_ms

    async def _is_mine(self, run_id: str) -> bool:
        await self._beat()
        return owner_of(run_id, self._members) == self.id

    async def _scan_now_and_then(self) -> None:
        """Find what the index does not tell: streams that nobody registered, sleepers that moved, runs to remove."""
        while not self._stop.is_set():
            try:
                known = await self._directory.known()
                streams = await self._directory.scanned() if self.settings.scan_s else set()
                self._woken |= await self._directory.unread((known | streams) - self._folding.keys())
                await self._retire(known)
            except Exception as error:
                if trouble_of(error) is None:
                    raise
                _log.debug("scan failed", error=str(error)[:300])
            await self._pause(self.settings.scan_s or _RETIRE_S)

    async def _retire(self, known: set[str]) -> None:
        if not self.settings.retention_s or not self._members:
            return
        old = known - await self._directory.active(self._now_ms - int(self.settings.retention_s * 1000))
        for run_id in share_of(self.id, old - self._folding.keys(), self._members):
            if is_run_id(run_id) and await self._directory.retire(run_id):
                _log.info("retired", run=run_id)

    def _loop_of(self, run_id: str) -> RunLoop:
        store = RunStore(
            self._client, self._blocking, RunKeys(run_id, self.settings.key_prefix), self.settings
        )
        loop = RunLoop(run_id, store, self.settings, self.id, touch=self._directory.touch)
        if self._members:
            loop.may_own = self._is_mine
        self.loops[run_id] = loop
        return loop

    def _note_overflow(self, over: int) -> None:
        over = max(0, over)
        if over != self._overflow:
            self._overflow = over
            _log.warning("too many runs", waiting=over, max_runs=self.settings.max_runs)

    def _raise_defects(self) -> None:
        """Forget runs that have ended; what ended with a defect ends the worker."""
        for run_id, folding in list(self._folding.items()):
            if folding.task.done():
                del self._folding[run_id]
                self.loops.pop(run_id, None)
                folding.task.result()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    async def _end(self) -> None:
        self._stop.set()
        for folding in self._folding.values():
            folding.stop.set()
        tasks = [folding.task for folding in self._folding.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.settings.grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._members:
            with suppress(Exception):
                await self._directory.beat(self.id, 0)
        _log.info("worker stopped", worker=self.id, runs=len(self.loops))
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
