"""atomic-redis-streams: commits the state and the stream position together, event by event.

The only compared library that keeps state as Sanctum does. Its messages are text, so events are JSON here.
"""

import json
import threading
import time
from typing import Any

from atomic_redis_streams import Persistable, PersistableAttribute, RedisStreamConsumer, TransactionManager

from bench.subjects.job import section_of
from bench.subjects.telling import report, told


class Sections(Persistable):
    """The last values of each section; the library writes all of them with every event."""

    sections = PersistableAttribute(default=None)

    def __init__(self, events: int) -> None:
        self.left = events
        self.done = threading.Event()

    @property
    def unique_id(self) -> str:
        """Return the name of the state on the server."""
        return "peer"

    def handle(self, message: dict[str, Any], transaction: TransactionManager) -> None:  # noqa: ARG002  # the library's signature
        """Process one event."""
        event = json.loads(message["json"])
        sections = self.sections or {}
        sections.setdefault(section_of(message["type"], event), {}).update(event["data"])
        self.sections = sections
        self.left -= 1
        if not self.left:
            self.done.set()


def main() -> None:
    """Drain a stream, and report the seconds."""
    task = told()
    handler = Sections(task["events"])
    consumer = RedisStreamConsumer(task["key"], "peer", handler, task["url"])
    began = time.perf_counter()
    consumer.start()
    handler.done.wait()
    # The last commit follows the handler.
    consumer.stop()
    report(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
