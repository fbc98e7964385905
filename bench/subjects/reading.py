"""Read the snapshot of a run: in full, and the changes since the previous commit."""

import statistics
import time
from collections.abc import Callable

from bench.subjects.telling import ready, report, told, word
from sanctum_bus.reader import Reader, Snapshot

_READS = 50


def _micros(read: Callable[[], Snapshot]) -> float:
    """Return the time until every section of the answer is decoded, in microseconds."""
    began = time.perf_counter()
    dict(read().sections)
    return (time.perf_counter() - began) * 1e6


def main() -> None:
    """Read a view, wait for a commit, read both ways in turn, and report the medians in microseconds."""
    task = told()
    with Reader(task["url"]) as reader:
        view = reader.snapshot(task["run"])
        ready()
        word()
        pairs = [
            (
                _micros(lambda: reader.snapshot(task["run"])),
                _micros(lambda: reader.snapshot(task["run"], since=view)),
            )
            for _ in range(_READS)
        ]
        changed = len(reader.snapshot(task["run"], since=view).changed)
    whole, since = (statistics.median(column) for column in zip(*pairs, strict=True))
    report(whole=whole, since=since, sections=len(view.names), changed=changed)


if __name__ == "__main__":
    main()
