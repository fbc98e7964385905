"""A training process: publishes recorded events to several runs at a steady pace, and reports the counts at the end.

It takes one JSON argument, see `Order`, and prints one JSON line, a list of `Report`.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sanctum_bus.publisher import Publisher
from tests.support.recordings import Recording, recording

#: Recordings that lie in the repository.
_NAMES = ("current/baseline_2env_3round", "dec19/cifar10_2env_2round", "plan/cifar10_2env_2round")

#: Seconds between two handfuls of events: so few that one small machine can do all of it.
_PACE_S = 0.25

#: Of so many events one cannot be folded and must be parked.
_ONE_SPOILED_IN = 397

#: Seconds for what is left at the end: servers may still be on their way back.
_CLOSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """The task of a training process.

    Args:
        url: the server's URL.
        runs: the runs, each with a separate publisher.
        events: number of events in all.
        seconds: duration.
    """

    url: str
    runs: list[str]
    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The counts of one publisher; `sent` is the number that the server acknowledged."""

    run: str
    producer: str
    emitted: int
    sent: int
    dropped: int
    buffered: int
    errors: int


def train(order: Order) -> list[Report]:
    """Publish for the given duration, close, and report."""
    publishers = [Publisher(run, url=order.url) for run in order.runs]
    stories = [story(f"{run}-{time.time_ns()}", place) for place, run in enumerate(order.runs)]
    pause, began, emitted = threading.Event(), time.monotonic(), 0
    while emitted < order.events:
        pause.wait(_PACE_S)
        due = min(order.events, int(order.events * (time.monotonic() - began) / order.seconds))
        for number in range(emitted, due):
            publishers[number % len(publishers)].emit(next(stories[number % len(publishers)]))
        emitted = max(emitted, due)
    return [report_of(run, publisher) for run, publisher in zip(order.runs, _closed(publishers), strict=True)]


def _closed(publishers: list[Publisher]) -> list[Publisher]:
    threads = [threading.Thread(target=publisher.close, args=(_CLOSE_S,)) for publisher in publishers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return publishers


def report_of(run: str, publisher: Publisher) -> Report:
    """Return what a closed publisher has to say."""
    stats = publisher.stats
    return Report(
        run, publisher.producer or "", stats.emitted, stats.sent, stats.dropped, stats.buffered, stats.errors
    )


def story(name: str, first: int) -> Iterator[dict[str, Any]]:
    """Yield recorded events endlessly, one recording after the other, each event with a new ID and time."""
    told: list[Recording] = [found for one in _NAMES if (found := recording(one)) is not None]
    lines = [one.lines() for one in told]
    number = itertools.count(1)
    for line in itertools.chain.from_iterable(itertools.cycle(lines[first % 3 :] + lines[: first % 3])):
        here = next(number)
        event = line | {"event_id": f"{name}-{here}", "timestamp": time.time()}
        yield event if here % _ONE_SPOILED_IN else _spoiled(event)


def _spoiled(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"event_type": "EPOCH_COMPLETED", "data": {"env_id": "none"}}


def main() -> None:
    """Run the task in the argument."""
    reports = train(Order(**json.loads(sys.argv[1])))
    sys.stdout.write(json.dumps([asdict(report) for report in reports]))


if __name__ == "__main__":
    main()
