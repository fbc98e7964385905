"""Listen to many runs and report when each ID was observed: by change notifications, or by a blocking read.

A change notification follows its commit. When it arrives, the snapshot already contains the event, so the measured time
is never too short.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from redis import Redis

from bench.subjects.telling import ready, report, told, word
from sanctum_bus.protocol.keys import RunKeys

#: Polling intervals of the stop flag, in seconds and milliseconds.
_LOOK_S, _LOOK_MS = 0.1, 100

Heard = list[tuple[int, str, float]]


def by_hints(client: Redis, run_ids: list[str], goes_on: Callable[[], bool]) -> Heard:
    """Return run number, version and time of each change notification."""
    numbers = {RunKeys(run_id).changed.encode(): number for number, run_id in enumerate(run_ids)}
    heard: Heard = []
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.ssubscribe(*numbers)
        ready()
        while goes_on():
            message = cast("dict[str, Any] | None", pubsub.get_message(timeout=_LOOK_S))
            if message is not None:
                moment = time.perf_counter()
                heard.append((numbers[message["channel"]], json.loads(message["data"])["version"], moment))
    return heard


def by_reading(client: Redis, run_ids: list[str], goes_on: Callable[[], bool]) -> Heard:
    """Return run number, ID and time of each entry."""
    numbers = {RunKeys(run_id).events.encode(): number for number, run_id in enumerate(run_ids)}
    after: dict[Any, Any] = dict.fromkeys(numbers, "0")
    heard: Heard = []
    ready()
    while goes_on():
        for key, found in cast("list[Any]", client.xread(after, block=_LOOK_MS, count=100)):
            moment = time.perf_counter()
            after[key] = found[-1][0]
            heard += [(numbers[key], entry_id.decode(), moment) for entry_id, _ in found]
    return heard


def main() -> None:
    """Listen until a line arrives on standard input; report the observations."""
    task = told()
    listening = threading.Thread(target=word, daemon=True)
    listening.start()
    hear = by_hints if task["by"] == "hints" else by_reading
    with Redis.from_url(task["url"], protocol=2) as client:
        heard = hear(client, task["runs"], listening.is_alive)
    report(heard=heard)


if __name__ == "__main__":
    main()
