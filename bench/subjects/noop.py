"""The no-op drain: read and acknowledge entries, nothing else. No program with this client can be faster."""

import time
from typing import Any, cast

from redis import Redis

from bench.subjects.telling import report, told


def main() -> None:
    """Drain a stream, and report the seconds."""
    task = told()
    key, count = task["key"], task["count"]
    with Redis.from_url(task["url"], protocol=2) as client:
        client.xgroup_create(key, "g", "0")
        began = time.perf_counter()
        while reply := cast("list[Any]", client.xreadgroup("g", "c", {key: ">"}, count=count)):
            client.xack(key, "g", *(entry_id for entry_id, _ in reply[0][1]))
        report(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
