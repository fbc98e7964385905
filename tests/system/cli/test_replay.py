"""Replaying: the recorded pace, and a buffer that never overflows."""

import itertools
from typing import Any

import pytest

from sanctum_bus.cli import replay as module
from sanctum_bus.cli.replay import paced, replay, settle, timestamp_of
from sanctum_bus.errors import CommandFailed
from sanctum_bus.events.recordings import Record
from sanctum_bus.publisher import Publisher
from tests.support.servers import Server, free_port


class Clock:
    """A clock that stands still but for the waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def wait(self, seconds: float) -> bool:
        """Let time pass."""
        self.waits.append(seconds)
        self.now += seconds
        return False


def records(*stamps: Any) -> list[Record]:
    """Records with these timestamps."""
    return [Record(number, {"event_type": "T", "timestamp": at}) for number, at in enumerate(stamps, 1)]


@pytest.mark.parametrize(
    ("stamps", "speed", "waits"),
    [
        ([10.0, 12.0, 15.0], 1.0, [2.0, 3.0]),
        ([10.0, 12.0, 15.0], 2.0, [1.0, 1.5]),
        ([10.0, 12.0], None, []),
        ([10.0, 8.0, 11.0], 1.0, [1.0]),
        ([10.0, None, "noon", True, 1e300, 12.0], 1.0, [2.0]),
        ([None, 5.0, 6.0], 1.0, [1.0]),
        (["2025-12-19T00:00:00+00:00", "2025-12-19T00:00:01.5Z"], 1.0, [1.5]),
    ],
)
def test_pace(stamps: list[Any], speed: float | None, waits: list[float]) -> None:
    """An event waits for its time after the first one's; one without a time, or that is late, waits for nothing."""
    clock = Clock()
    given = records(*stamps)

    assert list(paced(given, speed, clock.wait, clock)) == given
    assert clock.waits == pytest.approx(waits)


def test_stopping_while_waiting() -> None:
    """If the wait returns true, the replay ends before the event that it waited for."""
    given = records(0.0, 10.0)

    assert list(paced(given, 1.0, lambda _: True, Clock())) == given[:1]


@pytest.mark.parametrize("stamp", [None, "x", [], {}, float("nan"), float("inf"), -1e300])
def test_no_time(stamp: Any) -> None:
    """A value that is not a time counts as no timestamp."""
    assert timestamp_of({"timestamp": stamp}) is None


def test_nothing_is_dropped(valkey: Server) -> None:
    """More events than the buffer holds are all published: the replay waits while it is full."""
    publisher = Publisher("r", url=valkey.url, buffer_events=2_000)
    given = records(*itertools.repeat(1.0, 10_000))

    with publisher:
        assert list(replay(iter(given), publisher, None)) == given
        settle(publisher)

    assert (publisher.stats.sent, publisher.stats.dropped) == (10_000, 0)


def test_a_server_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes nothing for too long ends the replay, with how much is published and how much is not."""
    monkeypatch.setattr(module, "_LOOK_S", 0.01)
    publisher = Publisher("r", url=f"redis://127.0.0.1:{free_port()}/0")
    publisher.emit({"event_type": "T"})

    with pytest.raises(CommandFailed, match="0 events are published, 1 are not"):
        settle(publisher, 0.05)
