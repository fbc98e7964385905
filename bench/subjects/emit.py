"""Cost of one event for the training thread: `Publisher.emit`, or a JSON line to a file."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from bench.load import standard
from bench.subjects.telling import report, told
from sanctum_bus.publisher import Publisher

#: Events per burst, as in a training loop; a pause follows each burst.
_BURST = 20


@dataclass
class TelemetryEvent:
    """An event in the format of the emitter."""

    event_id: str
    event_type: Enum
    timestamp: datetime
    seed_id: str | None
    slot_id: str | None
    epoch: int | None
    message: str
    data: dict[str, Any]
    severity: str


Emit = Callable[[TelemetryEvent], object]


def _events(count: int) -> list[TelemetryEvent]:
    recorded = list(standard(count))
    kinds = Enum("TelemetryEventType", sorted({event["event_type"] for event in recorded}))  # type: ignore[misc]  # the members are those of the recording
    return [
        TelemetryEvent(
            **event
            | {
                "event_type": kinds[event["event_type"]],
                "timestamp": datetime.fromisoformat(event["timestamp"]),
                "data": dict(event["data"]),
            }
        )
        for event in recorded
    ]


@contextmanager
def _to_file() -> Iterator[Emit]:
    """Write each event as a JSON line, as a file backend does: envelope, type name, time as text."""
    with tempfile.TemporaryFile("w", encoding="utf-8") as file:

        def emit(event: TelemetryEvent) -> None:
            record = dict(event.__dict__)
            record["event_type"] = event.event_type.name
            record["timestamp"] = event.timestamp.isoformat()
            file.write(json.dumps(record) + "\n")

        yield emit


@contextmanager
def _to_redis(url: str) -> Iterator[Emit]:
    publisher = Publisher("bench", url=url)
    publisher.start()
    yield publisher.emit
    publisher.close(0.1)
    if publisher.stats.dropped or publisher.stats.rejected:
        sys.exit(f"invalid measurement, events were dropped or rejected: {publisher.stats}")


def _timed(emit: Emit, events: list[TelemetryEvent], pause_s: float) -> list[float]:
    """Return the duration of each call, in microseconds."""
    micros = []
    for number, event in enumerate(events, 1):
        began = time.perf_counter()
        emit(event)
        micros.append((time.perf_counter() - began) * 1e6)
        if number % _BURST == 0:
            time.sleep(pause_s)
    return micros


def main() -> None:
    """Emit events at the given rate, and report the quantiles in microseconds."""
    task = told()
    events = _events(task["events"])
    backend = _to_file() if task["backend"] == "file" else _to_redis(task["url"])
    with backend as emit:
        micros = sorted(_timed(emit, events, _BURST / task["per_second"]))
    report(**{name: micros[int(len(micros) * share)] for name, share in _QUANTILES.items()})


_QUANTILES = {"median": 0.5, "p99": 0.99, "p999": 0.999}


if __name__ == "__main__":
    main()
