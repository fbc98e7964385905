"""Background tasks: repeated steps. Their failures are counted and logged, and never end the worker."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from sanctum_bus.worker.failures import classify
from sanctum_bus.worker.metrics.recorder import WorkerMetrics

_log = structlog.get_logger()

#: One step of a task.
Step = Callable[[], Awaitable[None]]


class Background:
    """The background tasks of a worker.

    Args:
        stop: ends the tasks when it is set.
        metrics: counts the failures.
    """

    def __init__(self, stop: asyncio.Event, metrics: WorkerMetrics) -> None:
        self._stop = stop
        self._metrics = metrics
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, step: Step, interval_s: float) -> None:
        """Start a task that repeats a step.

        Args:
            name: of the task, in logs and metrics.
            step: the step.
            interval_s: seconds between the end of a step and the next one.
        """
        self._tasks.append(asyncio.create_task(self._repeat(name, step, interval_s)))

    async def _repeat(self, name: str, step: Step, interval_s: float) -> None:
        while not self._stop.is_set():
            await self.attempt(name, step)
            await self.pause(interval_s)

    async def attempt(self, name: str, step: Step) -> None:
        """Do one step of a task. A failure is logged when it begins, when its kind changes, and when it ends."""
        try:
            await step()
        except Exception as error:
            if classify(error) is None:
                raise
            if self._metrics.record_failure(name, error):
                _log.warning("task failed", task=name, error=str(error)[:300])
            return
        if failures := self._metrics.record_success(name):
            _log.info("task recovered", task=name, failures=failures)

    async def pause(self, seconds: float) -> None:
        """Wait for some seconds, or until the worker stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def raise_defects(self) -> None:
        """Raise the error of a task that has ended: it is a defect, and ends the worker."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def cancel(self) -> None:
        """Cancel the tasks, and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
