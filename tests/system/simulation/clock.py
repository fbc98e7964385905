"""An event loop with a simulated clock: it jumps to the next timer, and its processes can be stopped or killed.

A process is a context: callbacks that are scheduled in it, and what these schedule, belong to it. A stopped
process keeps
its callbacks until it is resumed, as with SIGSTOP. A killed process never runs them.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


class Life(Enum):
    """The states of a process."""

    RUNNING = "running"
    STOPPED = "stopped"
    DEAD = "dead"
    BURIED = "buried"


@dataclass(eq=False)
class Process:
    """One process.

    Attributes:
        held: callbacks to run when it is resumed.
        tasks: everything that was started in it.
    """

    name: str
    life: Life = Life.RUNNING
    held: list[asyncio.Handle] = field(default_factory=list)
    tasks: list["asyncio.Task[Any]"] = field(default_factory=list)


#: The process whose code is running; None: the world's.
PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


class Stuck(Exception):
    """No callback and no timer is left, or too many callbacks ran."""


class SimLoop(asyncio.AbstractEventLoop):
    """The event loop.

    Args:
        limit: callbacks after which `run` raises.
    """

    def __init__(self, limit: int = 5_000_000) -> None:
        self._now = 0.0
        self._limit = limit
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self.processes: list[Process] = []
        self.failure: Exception | None = None
        self._world: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        """Return the simulated seconds since the start."""
        return self._now

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def is_running(self) -> bool:
        """Return True."""
        return True

    def is_closed(self) -> bool:
        """Return False."""
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a new future."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # the parent accepts more kinds of coroutines
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        """Start a task, in the process of its context."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        process = (context or copy_context()).get(PROCESS)
        (self._world if process is None else process.tasks).append(task)
        return task

    def call_soon(  # type: ignore[override]  # the parent has typed arguments
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback next."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # the parent has typed arguments
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback after a delay."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # the parent has typed arguments
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback at a time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: the loop skips a cancelled timer when its time has come."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep an error of a callback, which is a defect; ignore errors that no task has awaited."""
        error = context.get("exception")
        if isinstance(error, Exception) and "handle" in context and self.failure is None:
            self.failure = error

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> Process:
        """Start a process."""
        process = Process(name)
        self.processes.append(process)
        context = copy_context()
        context.run(PROCESS.set, process)
        self.create_task(work, context=context)
        return process

    def resume(self, process: Process, life: Life = Life.RUNNING) -> None:
        """Resume a process."""
        process.life = life
        self._ready.extend(process.held)
        process.held.clear()

    def run(self, work: Awaitable[T]) -> T:
        """Run until an awaitable is done.

        Raises:
            Stuck: no callback and no timer is left, or too many callbacks ran.
        """
        asyncio._set_running_loop(self)
        try:
            done = asyncio.ensure_future(work, loop=self)
            while not done.done():
                self._step()
                if self.failure is not None:
                    raise self.failure
            return done.result()
        finally:
            asyncio._set_running_loop(None)

    def bury(self) -> None:
        """End every process, without running its callbacks further than necessary."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(200):
                left = [task for one in self.processes for task in one.tasks if not task.done()]
                left += [task for task in self._world if not task.done()]
                if not left:
                    return
                for process in self.processes:
                    self.resume(process, Life.BURIED)
                for task in left:
                    task.cancel()
                for _ in range(200):
                    if not self._ready:
                        break
                    self._step()
        finally:
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        if not self._ready:
            if not self._timers:
                raise Stuck("nothing is left to happen")
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            self._ready.append(timer)
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is not None and process.life in {Life.STOPPED, Life.DEAD}:
            process.held.append(handle)
            return
        self._limit -= 1
        if self._limit < 0:
            raise Stuck("too much has happened")
        handle._run()
