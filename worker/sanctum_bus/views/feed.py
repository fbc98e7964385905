"""One feed for a run: it reads the run once and serves the latest view to any number of watchers."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace

from redis.exceptions import RedisError

from sanctum_bus.errors import Unavailable, UnknownRun
from sanctum_bus.reader import AsyncReader, LogLine, Snapshot
from sanctum_bus.views.build import build, refreshed, with_problem
from sanctum_bus.views.format import printable
from sanctum_bus.views.model import RunView

#: Seconds between two reads: one that finds nothing new is a single small request.
INTERVAL_S = 0.2

#: Log lines of a view: those of a high terminal.
LOG_LINES = 200

#: Seconds of lag before a live view reports it: after a pause the first event is late for a moment.
_LAG_GRACE_S = 2.0


class RunFeed:
    """Reads a run at an interval and keeps its latest view. Slow watchers skip views; they never queue them.

    Args:
        reader: it stays the caller's.
        run_id: the run.
        wait_for_run: wait for a run that does not exist yet.
        interval_s: seconds between two reads.

    Attributes:
        view: the latest view; None before the first one.
    """

    def __init__(
        self, reader: AsyncReader, run_id: str, *, wait_for_run: bool = False, interval_s: float = INTERVAL_S
    ) -> None:
        self._reader = reader
        self._run_id = run_id
        self._wait_for_run = wait_for_run
        self._interval_s = interval_s
        self._snapshot: Snapshot | None = None
        self._log: Sequence[LogLine] = ()
        self._plain: RunView | None = None
        self._watchers: set[asyncio.Event] = set()
        self._current_at = 0.0
        self.view: RunView | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["RunFeed"]:
        """Read the run in a task while the block runs.

        Raises:
            UnknownRun: the run does not exist.
            Unavailable: a key of the run has the wrong type.
            RedisError: the server cannot execute the first read.
        """
        await self.read()
        task = asyncio.create_task(self._repeat())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @contextmanager
    def watcher(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set after each read; the watcher clears it and takes `view`."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    async def views(self) -> AsyncIterator[RunView]:
        """Yield the latest view after each read."""
        with self.watcher() as changed:
            while True:
                if self.view is not None:
                    yield self.view
                await changed.wait()
                changed.clear()

    async def read(self) -> None:
        """Read once. If a later read fails, the last view stays, with a finding about the failure.

        Raises:
            UnknownRun, Unavailable, RedisError: the first read failed.
        """
        problem = ""
        try:
            await self._take(await self._reader.snapshot(self._run_id, since=self._snapshot))
        except UnknownRun:
            if self._snapshot is None and not self._wait_for_run:
                raise
            problem = "the run was removed" if self._snapshot else "waiting for the run"
        except RedisError as error:
            if self._snapshot is None:
                raise
            problem = f"the server is unavailable: {printable(error, 80)}"
        except Unavailable as error:
            if self._snapshot is None:
                raise
            problem = printable(error)
        self._publish(problem)

    async def _take(self, fresh: Snapshot) -> None:
        last = self._snapshot
        is_new = last is None or (last.version, last.generation) != (fresh.version, fresh.generation)
        # First the read that can fail: a view without its log lines is read again as a whole.
        if is_new:
            self._log = await self._reader.log(self._run_id, newest=LOG_LINES)
        self._snapshot = fresh if last is None else fresh.merged_onto(last)
        if fresh.is_current:
            self._current_at = asyncio.get_running_loop().time()
        if is_new or self._plain is None:
            self._plain = build(self._snapshot, self._log)
        else:
            self._plain = refreshed(self._plain, self._snapshot)

    def _publish(self, problem: str) -> None:
        view = self._plain
        if view is not None:
            if asyncio.get_running_loop().time() - self._current_at <= _LAG_GRACE_S:
                findings = tuple(one for one in view.findings if one.kind != "behind")
                view = replace(view, findings=findings)
            self.view = with_problem(view, problem) if problem else view
        self.wake()

    def wake(self) -> None:
        """Wake the watchers: there is a new view, or another reason to look."""
        for changed in self._watchers:
            changed.set()

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.read()
