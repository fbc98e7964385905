"""A worker process with settings from the environment, as `sanctum worker`; with `--drain` it drains and exits."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "worker"))

from sanctum_bus.cli.signals import stop_on_signal
from sanctum_bus.worker import logs
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker


async def work(*, drain: bool) -> None:
    """Run one worker until it is done or a signal stops it."""
    settings = load()
    logs.configure(settings.log_level)
    worker = Worker(settings)
    with stop_on_signal(worker.stop):
        if drain:
            await worker.drain()
        else:
            await worker.run()


if __name__ == "__main__":
    asyncio.run(work(drain="--drain" in sys.argv))
