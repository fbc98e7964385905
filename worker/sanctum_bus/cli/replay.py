"""Publishing recorded events: at their own pace or as fast as it goes, and never more than fit into the buffer."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import CommandFailed
from sanctum_bus.events.recordings import Record
from sanctum_bus.publisher import Publisher, PublisherStats

#: Events that may wait to be sent; then the replay waits. The largest that a worker folds has 1 MiB.
_MOST_WAITING = 2_000

#: Bytes that the publisher's buffer may take: room for so many of the largest events.
_BUFFER_BYTES = 4 << 30

#: Seconds without any progress after which a replay gives up.
PATIENCE_S = 30.0

#: Unix seconds from which a timestamp is none.
_LATEST_S = 1e12

#: Seconds of one wait for the buffer; between two of them the person is told what is the matter.
_LOOK_S = 0.5


def publisher_for(server: ServerTarget, run_id: str, **more: Any) -> Publisher:
    """Return a publisher that has room for all that a replay hands it before it waits.

    Raises:
        BadInput: the run's name cannot be one.
        Failed: the server cannot be asked.
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
    """Publish records one by one, yielding each once it is handed over.

    Args:
        records: what to publish.
        publisher: how; it is left open.
        speed: times the recorded pace; None: as fast as it goes.
        stop: waits so many seconds and says whether to end; None: only waits.

    Raises:
        Failed: the server took nothing for 30 seconds.
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
    """Wait until the server has taken everything.

    Raises:
        Failed: it took nothing for too long.
    """
    sent, since = publisher.stats.sent, time.monotonic()
    while not publisher.flush(_LOOK_S):
        stats, now = publisher.stats, time.monotonic()
        if stats.sent != sent:
            sent, since = stats.sent, now
        elif now - since > patience_s:
            publisher.close(0)
            raise CommandFailed(
                f"the server took nothing for {patience_s:g} s ({stats.last_error}); "
                f"{stats.sent:,} events are published, {stats.buffered:,} are not"
            )


def paced(
    records: Iterable[Record],
    speed: float | None,
    stop: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Record]:
    """Yield records when they are due.

    The first is due at once, the others as long after it as their timestamps say, divided by the speed. One without a
    timestamp, or with one that goes back, is due at once.
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
    """Return when a recorded event was emitted, in Unix seconds, or None where it does not say."""
    stamp = event.get("timestamp")
    if isinstance(stamp, str):
        try:
            moment = datetime.fromisoformat(stamp)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(stamp) if isinstance(stamp, int | float) and abs(stamp) < _LATEST_S else None


def losses(stats: PublisherStats) -> str:
    """Return in words what did not arrive; empty where everything did."""
    found = [
        (stats.dropped, "dropped"),
        (stats.buffered, "left behind"),
        (stats.rejected, "rejected as no events"),
    ]
    return ", ".join(f"{amount:,} {what}" for amount, what in found if amount)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
