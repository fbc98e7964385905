"""Entry formats of other libraries; subjects without one read the entries of Sanctum's publisher."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator

from bench.load import Entry, Event

Shape = Callable[[Iterable[Event]], Iterator[Entry]]


def as_faststream(events: Iterable[Event]) -> Iterator[Entry]:
    """Yield entries in the format of FastStream's publisher."""
    from faststream.redis.parser import BinaryMessageFormatV1  # noqa: PLC0415  # it may not be installed

    async def encoded() -> list[bytes]:
        return [
            await BinaryMessageFormatV1.encode(message=event, reply_to=None, headers=None, correlation_id="0")
            for event in events
        ]

    yield from ({b"__data__": one} for one in asyncio.run(encoded()))


def as_text(events: Iterable[Event]) -> Iterator[Entry]:
    """Yield entries that contain only text."""
    for event in events:
        yield {b"type": event["event_type"].encode(), b"json": json.dumps(event).encode()}


SHAPES: dict[str, Shape] = {"faststream": as_faststream, "atomic": as_text}
