"""Many followers of one reader."""

import asyncio

from sanctum_bus.reader import AsyncReader
from tests.support.reader_runs import PATIENCE_S, RUN, Training

#: More than the default number of connections of redis-py.
FOLLOWERS = 150


async def _seen(reader: AsyncReader, version: str) -> None:
    async for view in reader.follow(RUN, poll_s=0.2):
        if view.version == version:
            return


async def _follow_and_leave(training: Training) -> None:
    async with AsyncReader(training.server.url) as reader:
        first = (await reader.snapshot(RUN)).version
        followers = [asyncio.create_task(_seen(reader, first)) for _ in range(FOLLOWERS)]
        await asyncio.wait_for(asyncio.gather(*followers), PATIENCE_S)

        waiting = [asyncio.create_task(_seen(reader, "never")) for _ in range(FOLLOWERS)]
        last = asyncio.create_task(_seen(reader, training.tick()))
        with_news = asyncio.to_thread(training.fold)
        await asyncio.wait_for(asyncio.gather(last, with_news), PATIENCE_S)
        for task in waiting:
            task.cancel()
        _, pending = await asyncio.wait(waiting, timeout=PATIENCE_S)
        assert not pending
        assert all(task.cancelled() for task in waiting)


def test_one_reader_serves_many_followers(training: Training) -> None:
    """Each of many followers of one run yields the snapshot, and ends when it is canceled."""
    training.tick()
    training.fold()

    asyncio.run(_follow_and_leave(training))
