"""FastStream: a stream subscriber with a group, 1,000 messages per batch, written in one pipeline.

Type validation (`apply_types=False`) and logging are off, the fastest documented configuration.
"""

import asyncio
import time
from typing import Any, cast

from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis

from bench.subjects.job import CONSUMER, GROUP, section_of, texts
from bench.subjects.telling import report, told


async def drain(url: str, key: str, events: int, count: int) -> float:
    """Drain a stream, and return the seconds."""
    broker = RedisBroker(url, logger=None, apply_types=False)
    done, seen = asyncio.Event(), 0
    client = Redis.from_url(url)

    stream = StreamSub(key, group=GROUP, consumer=CONSUMER, batch=True, max_records=count, last_id="0")

    async def handle(messages: list[dict[str, Any]]) -> None:
        nonlocal seen
        pipeline = client.pipeline(transaction=False)
        for event in messages:
            pipeline.hset(
                section_of(event["event_type"], event), mapping=cast("dict[Any, Any]", texts(event["data"]))
            )
        await pipeline.execute()
        seen += len(messages)
        if seen >= events:
            done.set()

    broker.subscriber(stream=stream)(handle)
    began = time.perf_counter()
    await broker.start()
    await done.wait()
    # The last batch is acknowledged after the handler.
    await broker.stop()
    seconds = time.perf_counter() - began
    await client.aclose()
    return seconds


def main() -> None:
    """Drain a stream, and report the seconds."""
    task = told()
    report(seconds=asyncio.run(drain(task["url"], task["key"], task["events"], task["count"])))


if __name__ == "__main__":
    main()
