"""The simplest loop: read, decode, write and acknowledge one event at a time."""

import time
from typing import Any, cast

import msgspec
from redis import Redis

from bench.subjects.job import CONSUMER, GROUP, section_of, texts
from bench.subjects.telling import report, told

_unpack = msgspec.msgpack.Decoder(dict[str, Any]).decode


def main() -> None:
    """Drain a stream, and report the seconds."""
    task = told()
    key = task["key"]
    with Redis.from_url(task["url"], protocol=2) as client:
        client.xgroup_create(key, GROUP, "0")
        began = time.perf_counter()
        while reply := cast("list[Any]", client.xreadgroup(GROUP, CONSUMER, {key: ">"}, count=1)):
            for entry_id, entry in reply[0][1]:
                event = _unpack(entry[b"event"])
                section = section_of(entry[b"type"].decode(), event)
                client.hset(section, mapping=cast("dict[Any, Any]", texts(event["data"])))
                client.xack(key, GROUP, entry_id)
        report(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
