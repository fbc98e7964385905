"""Many followers of one run in one process, each with a separate reader."""

import asyncio
import os
import sys
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from bench.subjects.telling import ready, report, told
from sanctum_bus.reader import AsyncReader

#: Timeout for all followers to see the last version, in seconds.
_PATIENCE_S = 60.0


@dataclass
class Follower:
    """Observations of one follower.

    Args:
        gap: longest time between two views, in seconds, without the first view.
    """

    version: str = ""
    at: float = 0.0
    gap: float = 0.0
    views: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, url: str, run: str) -> None:
        """Record every view."""
        async with AsyncReader(url) as reader, aclosing(reader.follow(run)) as views:
            async for view in views:
                now = time.perf_counter()
                if self.views > 1:
                    self.gap = max(self.gap, now - self.at)
                self.version, self.at, self.views = view.version, now, self.views + 1
                self.changed.set()

    async def sees(self, version: str) -> None:
        """Wait until the view has this version."""
        while self.version != version:
            self.changed.clear()
            await self.changed.wait()


async def follow_all(url: str, run: str, count: int) -> dict[str, float]:
    """Follow until the last version is known; return the largest delay of a follower, in seconds."""
    followers = [Follower() for _ in range(count)]
    tasks = {asyncio.create_task(follower.follow(url, run)) for follower in followers}
    await asyncio.gather(*(follower.changed.wait() for follower in followers))
    ready()
    last, _, moment = (await asyncio.to_thread(sys.stdin.readline)).strip().partition(" ")
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(follower.sees(last) for follower in followers)), _PATIENCE_S)
    if failed := [task for task in tasks if task.done()]:
        failed[0].result()
    late = max(follower.at - float(moment) for follower in followers)
    return {
        "behind": max(late, *(follower.gap for follower in followers)),
        "views": sum(follower.views for follower in followers) / count,
        "missed": sum(follower.version != last for follower in followers),
    }


def main() -> None:
    """Follow, report, and exit immediately; closing hundreds of connections is not measured."""
    task = told()

    async def work() -> None:
        report(**await follow_all(task["url"], task["run"], task["count"]))
        os._exit(0)

    asyncio.run(work())


if __name__ == "__main__":
    main()
