"""Publishing recorded events at their pace or as fast as possible, never more than the buffer holds."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import CommandFailed
from sanctum_bus.events.recordings import Record
from sanctum_bus.publisher import Publisher, PublisherStats

#: Events in the buffer at which the replay waits. The largest event that a worker accepts has 1 MiB.
_MOST_WAITING = 2_000

#: Bytes of the publisher's buffer: room for that many of the largest events.
_BUFFER_BYTES = 4 << 30

#: Seconds without progress after which a replay fails.
PATIENCE_S = 30.0

#: Unix seconds beyond which a number is not a timestamp.
_LATEST_S = 1e12

#: Seconds of one wait for the buffer.
_LOOK_S = 0.5


def publisher_for(server: ServerTarget, run_id: str, **more: Any) -> Publisher:
    """Return a publisher whose buffer holds everything that a replay emits before it waits.

    Raises:
        InvalidArgument: the run ID is invalid.
        CommandFailed: the server is unavailable.
    """
    with server.client() as client:
        client.ping()
    return Publisher(
        run_id,
        url=server.url,
        key_prefix=server.prefix,
        buffer_bytes=_BUFFER_BYTES,
        producer="replay",
        **more,
    )


def replay(
    records: Iterable[Record],
    publisher: Publisher,
    speed: float | None,
    stop: Callable[[float], bool] | None = None,
) -> Iterator[Record]:
    """Publish records one by one, and yield each after it was emitted.

    Args:
        records: the records.
        publisher: stays open.
        speed: multiple of the recorded pace; None: as fast as possible.
        stop: waits for a number of seconds and returns whether to end; None: only waits.

    Raises:
        CommandFailed: the server accepted no event for 30 seconds.
    """
    waiting = 0
    for record in paced(records, speed, stop or _sleep):
        publisher.emit(record.event)
        yield record
        waiting += 1
        if waiting >= _MOST_WAITING:
            settle(publisher)
            waiting = 0


def settle(publisher: Publisher, patience_s: float = PATIENCE_S) -> None:
    """Wait until the server has accepted all events.

    Raises:
        CommandFailed: the server accepted no event for too long.
    """
    sent, since = publisher.stats.sent, time.monotonic()
    while not publisher.flush(_LOOK_S):
        stats, now = publisher.stats, time.monotonic()
        if stats.sent != sent:
            sent, since = stats.sent, now
        elif now - since > patience_s:
            publisher.close(0)
            raise CommandFailed(
                f"the server accepted no event for {patience_s:g} s ({stats.last_error}); {stats.sent:,} events were published, {stats.buffered:,} were not"
                f"{stats.sent:,} events are published, {stats.buffered:,} are not"
            )


def paced(
    records: Iterable[Record],
    speed: float | None,
    stop: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Record]:
    """Yield records at their times.

    The first record is due at once; the delay of the others follows from their timestamps, divided by the
    speed. A record without a timestamp, or with an earlier one, is due at once.
    """
    began = first = None
    for record in records:
        at = None if speed is None else timestamp_of(record.event or {})
        if at is not None and speed is not None:
            if began is None or first is None:
                began, first = clock(), at
            late = began + (at - first) / speed - clock()
            if late > 0 and stop(late):
                return
        yield record


def timestamp_of(event: dict[str, Any]) -> float | None:
    """Return the timestamp of a recorded event in Unix seconds; None if it has none."""
    stamp = event.get("timestamp")
    if isinstance(stamp, str):
        try:
            moment = datetime.fromisoformat(stamp)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(stamp) if isinstance(stamp, int | float) and abs(stamp) < _LATEST_S else None


def losses(stats: PublisherStats) -> str:
    """Return what did not arrive, as text; empty if everything arrived."""
    found = [
        (stats.dropped, "dropped"),
        (stats.buffered, "not sent"),
        (stats.rejected, "rejected as invalid"),
    ]
    return ", ".join(f"{amount:,} {what}" for amount, what in found if amount)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
