"""Interruptions of a publisher: Ctrl-C, signal handlers that close, log handlers and objects that raise."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sanctum_bus.publisher import Publisher
from sanctum_bus.publisher.buffer import Buffer
from tests.server.publisher.test_processes import run
from tests.support.published import RUN, Gate, entries, numbered
from tests.support.servers import Server
from tests.support.waiting import wait_until


@pytest.mark.parametrize("when", ["before the thread runs", "when it runs"])
def test_an_interrupted_start_leaves_one_sender(
    server: Server, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """If Ctrl-C interrupts the start of the thread, the next event starts one, and nothing is sent twice."""
    start = threading.Thread.start
    interrupts = iter([True])

    def interrupted(self: threading.Thread) -> None:
        if self.name == "sanctum-publisher" and next(interrupts, False):
            if when == "when it runs":
                start(self)
            raise KeyboardInterrupt
        start(self)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    publisher = Publisher(RUN, url=server.url)
    with pytest.raises(KeyboardInterrupt):
        publisher.emit({"type": "STEP"})
    for event in numbered(50):
        publisher.emit(event)
    stats = publisher.close(10)

    found = entries(server.client())
    assert [one.seq for one in found] == list(range(1, 53))
    assert len({one.producer for one in found}) == 1
    assert (stats.emitted, stats.sent) == (51, 51)


def test_an_interrupted_look_at_the_buffer_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C inside the buffer another thread can emit, even while the traceback is alive."""
    buffer = Buffer(100, 1000, lambda: None)
    empty = Buffer._empty_inbox
    kept: list[BaseException] = []

    def interrupted(self: Buffer) -> None:
        monkeypatch.setattr(Buffer, "_empty_inbox", empty)
        raise KeyboardInterrupt

    monkeypatch.setattr(Buffer, "_empty_inbox", interrupted)
    try:
        buffer.wake_at(1)
    except KeyboardInterrupt as error:
        kept.append(error)
    other = threading.Thread(target=buffer.put, args=("T", b"x"), daemon=True)
    other.start()
    other.join(5)

    assert kept
    assert not other.is_alive()
    assert buffer.counts[:4] == (1, 0, 0, 1)


def test_a_handler_that_closes_during_a_flush_loses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread in `flush` holds no lock that the sender thread needs."""
    gate = Gate(server.url, closed=True)
    publisher = Publisher(RUN, client_factory=gate)
    for event in numbered(600):
        publisher.emit(event)
    interrupts = iter([True])

    def interrupted(seconds: float) -> None:
        if next(interrupts, False):
            gate.closed = False
            publisher.close(10)
        sleep(seconds)

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", interrupted)

    assert publisher.flush(10)
    assert next(interrupts, None) is None
    assert (publisher.stats.sent, publisher.stats.buffered) == (600, 0)


class Raising(logging.Handler):
    """A log handler that fails."""

    def emit(self, record: logging.LogRecord) -> None:
        """Fail."""
        raise ValueError(record)


@pytest.fixture(name="raising")
def _raising() -> Iterator[None]:
    logger, handler = logging.getLogger("sanctum_bus.publisher"), Raising()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


@pytest.mark.usefixtures("raising")
def test_a_log_handler_that_raises_ends_nothing(server: Server) -> None:
    """An error of a log handler stops neither the sender thread nor the training."""
    gate = Gate(server.url, closed=True)
    publisher = Publisher(RUN, client_factory=gate)
    publisher.emit({"type": "STEP"})
    wait_until(lambda: publisher.stats.errors > 1, "it has failed twice")
    gate.closed = False

    stats = publisher.close(10)
    publisher.emit({"type": "LATE"})

    assert (stats.sent, stats.buffered) == (1, 0)


class Panic(BaseException):
    """An error that is not an Exception, as libraries in other languages raise it."""


class Panicking:
    """An event whose attribute raises."""

    event_type = "STEP"

    @property
    def data(self) -> object:
        """Fail."""
        raise Panic


def test_what_objects_raise_stays_with_them() -> None:
    """`emit` raises no error of an event object, of any base class; the event counts as rejected."""
    publisher = Publisher(RUN, url="redis://127.0.0.1:1/0")

    publisher.emit(Panicking())

    assert publisher.stats.rejected == 1
    publisher.close(0)


def test_waits_may_be_endless(server: Server) -> None:
    """Infinite timeouts are limited to what the clock supports; NaN raises nothing."""
    endless = Publisher(RUN, url=server.url, close_timeout_s=float("inf"), linger_s=float("inf"))
    endless.emit({"type": "STEP"})
    assert endless.flush(float("inf"))
    assert endless.flush(1e300)
    endless.emit({"type": "STEP"})
    assert endless.flush(float("nan")) in {True, False}
    assert endless.close().sent == 2


def test_a_server_that_does_not_answer_keeps_nothing_from_the_files(server: Server, tmp_path: Path) -> None:
    """If a request hangs, `close` writes the unsent events to files in time; the next publisher sends them."""
    process = server.pid
    publisher = Publisher(RUN, url=server.url, spill_path=tmp_path)
    publisher.emit({"event_type": "STEP", "data": {"number": 0}})
    assert publisher.flush(10)
    os.kill(process, signal.SIGSTOP)
    try:
        for event in numbered(200):
            publisher.emit(event)
        wait_until(lambda: bool(publisher._producer.buffer._in_flight), "a request hangs")
        stats = publisher.close(2.0)
    finally:
        os.kill(process, signal.SIGCONT)

    assert (stats.buffered, stats.dropped, stats.spilled) == (0, 0, 200)
    with Publisher(RUN, url=server.url, spill_path=tmp_path) as after:
        after.emit({"event_type": "STEP", "data": {"number": 201}})
        assert after.flush(20)
    found = {one.body["data"]["number"] for one in entries(server.client()) if one.type == "STEP"}
    assert found == set(range(202))


@pytest.mark.parametrize(
    "error", [OSError(24, "Too many open files"), PermissionError(13, "no"), OSError(5, "I/O")]
)
def test_a_file_that_cannot_be_read_just_now_is_read_later(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """A temporary read error loses no events: the file is read again."""
    gate = Gate(server.url, closed=True)
    publisher = Publisher(RUN, client_factory=gate, buffer_events=20, batch_events=7, spill_path=tmp_path)
    for event in numbered(200):
        publisher.emit(event)
        wait_until(lambda: len(publisher._producer.buffer._memory) < 15, "there is room in memory")
    failures = iter([error] * 3)
    read = Path.read_bytes

    def failing(path: Path) -> bytes:
        with suppress(StopIteration):
            raise next(failures)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    gate.closed = False

    stats = publisher.close(20)
    assert (stats.sent, stats.dropped, stats.spilled) == (200, 0, 0)
    assert [one.seq for one in entries(server.client())] == list(range(1, 202))


def test_a_file_that_is_torn_is_kept(server: Server, tmp_path: Path) -> None:
    """The complete events of a truncated file are sent, the rest counts as dropped, and the file is kept as `.torn`."""
    gate = Gate(server.url, closed=True)
    publisher = Publisher(RUN, client_factory=gate, buffer_events=20, batch_events=7, spill_path=tmp_path)
    for event in numbered(100):
        publisher.emit(event)
        wait_until(lambda: len(publisher._producer.buffer._memory) < 15, "there is room in memory")
    torn = sorted(tmp_path.rglob("*.spill"))[1]
    torn.write_bytes(torn.read_bytes()[:-3])
    gate.closed = False

    stats = publisher.close(20)

    assert (stats.sent, stats.dropped) == (99, 1)
    assert torn.with_suffix(".torn").exists()


ENDING = f"""
import sys
from sanctum_bus.publisher import Publisher

unavailable = Publisher("{RUN}", url="redis://127.0.0.1:1/0")
unavailable.emit({{"type": "STEP"}})
live = [Publisher("{RUN}", url=sys.argv[1], producer=f"live{{number}}") for number in range(3)]
for publisher in live:
    publisher.emit({{"type": "STEP"}})
"""


def test_a_server_that_is_away_takes_nobody_elses_time(server: Server) -> None:
    """At the exit of a process all publishers close at the same time."""
    run(ENDING, server.url)

    assert sorted(one.producer[:5] for one in entries(server.client()) if one.type == "_closed") == [
        "live0",
        "live1",
        "live2",
    ]
