"""Emit events to many runs at a steady rate, and report the time of each."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from redis import Redis

from bench.load import Event, standard
from bench.subjects.telling import ready, report, told, word
from sanctum_bus.events.encode import encode_event
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.publisher import Publisher

Emit = Callable[[int, Event], object]


@contextmanager
def _publishers(url: str, run_ids: list[str]) -> Iterator[Emit]:
    with ExitStack() as stack:
        publishers = [stack.enter_context(Publisher(run_id, url=url)) for run_id in run_ids]
        yield lambda number, event: publishers[number].emit(event)


@contextmanager
def _bare(url: str, run_ids: list[str]) -> Iterator[Emit]:
    keys = [RunKeys(run_id).events for run_id in run_ids]
    with Redis.from_url(url, protocol=2) as client:

        def emit(number: int, event: Event) -> None:
            kind, packed, _ = encode_event(event)
            client.execute_command("XADD", keys[number], "*", "type", kind, "event", packed)

        yield emit


def main() -> None:
    """Emit one event to each run, wait for the start signal, emit at the given rate, and report the times by run."""
    task = told()
    run_ids, each = task["runs"], 1 / task["per_second"]
    events = list(standard(1 + int(task["seconds"] * task["per_second"])))
    emitting = _publishers if task["through"] == "publisher" else _bare
    moments: list[list[float]] = [[] for _ in run_ids]
    with emitting(task["url"], run_ids) as emit:
        for number in range(len(run_ids)):
            moments[number].append(time.perf_counter())
            emit(number, events[0])
        ready()
        word()
        due = time.perf_counter()
        for turn, event in enumerate(events[1:]):
            due += each
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            number = turn % len(run_ids)
            moments[number].append(time.perf_counter())
            emit(number, event)
    report(moments=moments)


if __name__ == "__main__":
    main()
