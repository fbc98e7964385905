"""Guarantees for the training: a publisher does not raise, does not block, and changes no state outside of it."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.publisher import Publisher
from tests.support.objects import Hostile, Nameless, Odd
from tests.support.published import RUN, Gate, entries, numbered, seqs
from tests.support.servers import Server
from tests.support.waiting import wait_until


def nowhere() -> Redis:
    """Fail like a client without a server."""
    raise RedisConnectionError("no server")


@pytest.mark.parametrize("run_id", ["", "-a", "a b", "a{b}", "x" * 129, "é", None, 7])
def test_a_wrong_run_is_said_at_once(run_id: str) -> None:
    """An invalid run ID raises in the constructor, before training starts."""
    with pytest.raises(InvalidArgument):
        Publisher(run_id)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Publisher(RUN, key_prefix="a{b"),
        lambda: Publisher(RUN, key_prefix=7),  # type: ignore[arg-type]  # wrong on purpose
        lambda: Publisher(RUN, labels="host=a"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: Publisher(RUN, url="http://user:secret@host"),
        lambda: Publisher(RUN, buffer_events=0),
        lambda: Publisher(RUN, batch_bytes=0),
        lambda: Publisher(RUN, maxlen=0),
        lambda: Publisher(RUN, spill_bytes=0),
        lambda: Publisher(RUN, spill_path=7),  # type: ignore[arg-type]  # wrong on purpose
        lambda: Publisher(RUN, linger_s=-1),
        lambda: Publisher(RUN, close_timeout_s=float("nan")),
        lambda: Publisher(RUN, buffer_events="many"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: Publisher(RUN, labels={"x" * 130: "y"}),
    ],
)
def test_other_wrong_arguments_are_said_at_once(make: Callable[[], Publisher]) -> None:
    """Each invalid argument raises in the constructor; the message has no password."""
    with pytest.raises(InvalidArgument) as caught:
        make()

    assert "secret" not in str(caught.value)


def test_a_wrong_url_in_the_environment_is_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the environment variable with the invalid URL."""
    monkeypatch.setenv("SANCTUM_REDIS_URL", "nonsense")

    with pytest.raises(InvalidArgument, match="SANCTUM_REDIS_URL"):
        Publisher(RUN)


def test_emit_never_raises(server: Server) -> None:
    """Unreadable events are counted, unreadable values are sent as text, and all other events follow in order."""
    publisher = Publisher(RUN, url=server.url)
    cycle: dict[str, object] = {}
    cycle["self"] = cycle
    hostile = [Hostile(), Odd(), Nameless(), None, {}, {"type": ""}]
    for event in [
        *hostile,
        *({"type": "T", "data": {"x": value}} for value in (cycle, Hostile(), Nameless())),
    ]:
        publisher.emit(event)
    publisher.emit({"type": "T", "data": Odd(), "timestamp": Hostile()})
    stats = publisher.close()

    assert (stats.emitted, stats.sent, stats.rejected) == (4, 4, 6)
    assert stats.unconvertible == 6
    assert seqs(server.client()) == [1, 2, 3, 4, 5]


def test_the_calling_thread_never_talks_to_redis() -> None:
    """Only the sender thread opens connections; `start`, `emit` and `stats` do not."""
    threads: list[threading.Thread] = []

    def factory() -> Redis:
        threads.append(threading.current_thread())
        raise RedisConnectionError("no server")

    publisher = Publisher(RUN, client_factory=factory)
    publisher.start()
    for event in numbered(10):
        publisher.emit(event)
    wait_until(lambda: threads, "the thread has tried")
    publisher.close(0)

    assert threading.current_thread() not in threads
    assert all(thread.daemon for thread in threads)


def test_what_comes_after_close_is_dropped_and_counted(server: Server) -> None:
    """An event after `close` leaves no gap in the numbers, and nothing follows the end-of-stream marker."""
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP"})
    publisher.close()
    publisher.emit({"type": "STEP"})
    publisher.start()
    stats = publisher.close()

    assert (stats.emitted, stats.sent, stats.dropped, stats.buffered) == (2, 1, 1, 0)
    assert [entry.type for entry in entries(server.client())] == ["STEP", "_closed"]


def test_a_publisher_without_events_leaves_no_trace(server: Server) -> None:
    """A publisher without events writes nothing, not even an end-of-stream marker."""
    with Publisher(RUN, url=server.url) as publisher:
        assert publisher.flush()
        assert publisher.producer is not None
    unused = Publisher(RUN, url=server.url)

    assert unused.close().emitted == 0
    assert unused.producer is None
    assert server.client().keys("*") == []


def test_two_publishers_are_two_producers(server: Server) -> None:
    """Two publishers with one label in one process have different IDs, and each numbers its events from 1."""
    first, second = (Publisher(RUN, url=server.url, producer="rank0") for _ in range(2))
    for publisher in (first, second):
        publisher.emit({"type": "STEP"})
        publisher.close()

    sent = entries(server.client())
    assert [entry.seq for entry in sent] == [1, 2, 1, 2]
    assert len({entry.producer for entry in sent}) == 2


def test_many_threads_emit_and_nothing_is_lost_or_doubled(server: Server) -> None:
    """Events of many threads have numbers without a gap, and each thread's events stay in order."""
    publisher = Publisher(RUN, url=server.url)

    def emit(name: int) -> None:
        for number in range(500):
            publisher.emit({"type": "STEP", "data": {"thread": name, "number": number}})

    threads = [threading.Thread(target=emit, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = publisher.close()

    sent = entries(server.client())[:-1]
    assert [entry.seq for entry in sent] == list(range(1, 2001))
    for name in range(4):
        own = [entry.body["data"]["number"] for entry in sent if entry.body["data"]["thread"] == name]
        assert own == list(range(500))
    assert stats.sent == 2000


def test_a_signal_handler_may_emit_and_close(server: Server) -> None:
    """A signal handler may emit a last event and close the publisher."""
    publisher = Publisher(RUN, url=server.url)
    stats = []

    def handler(number: int, frame: object) -> None:
        publisher.emit({"type": "STOPPED", "data": {"signal": number}})
        stats.append(publisher.close())

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        publisher.emit({"type": "STEP"})
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert [entry.type for entry in entries(server.client())] == ["STEP", "STOPPED", "_closed"]
    assert stats[0].sent == 2


def test_a_handler_may_close_while_the_thread_is_being_started(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a handler closes during the start of the thread, the thread sends all events and the end-of-stream marker."""
    publisher = Publisher(RUN, url=server.url)
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        publisher.close()
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        publisher.emit({"type": "STEP"})

    client = server.client()
    wait_until(lambda: len(entries(client)) == 2, "the event and the end-of-stream marker are there")
    assert seqs(client) == [1, 2]


def test_the_trainings_random_numbers_are_left_alone() -> None:
    """A publisher does not use the global random generator, so a seeded training stays reproducible."""
    random.seed(1)
    expected = random.random()  # noqa: S311  # a test of the generator
    random.seed(1)

    publisher = Publisher(RUN, client_factory=nowhere)
    publisher.emit({"type": "STEP"})
    wait_until(lambda: publisher.stats.errors >= 2, "it has waited with jitter")
    publisher.close(0)

    assert random.random() == expected  # noqa: S311  # a test of the generator


def test_without_threads_events_wait(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started, nothing is raised, and the next event tries again."""
    publisher = Publisher(RUN, url=server.url)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_more_threads)
        publisher.emit({"type": "STEP"})
        assert not publisher.flush(0)
        assert publisher.producer is None
    publisher.emit({"type": "STEP"})
    stats = publisher.close()

    assert (stats.emitted, stats.sent) == (2, 2)


def _no_more_threads(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@dataclass
class Broken:
    """A client factory with a bug."""

    server: Server
    fails: int = 2

    def __call__(self) -> Redis:
        """Fail, or create a client."""
        if self.fails:
            self.fails -= 1
            raise ZeroDivisionError("a bug in the factory")
        return Gate(self.server.url)()


def test_no_error_ends_the_thread(server: Server) -> None:
    """Any error of a client is counted, and the batch is sent again."""
    publisher = Publisher(RUN, client_factory=Broken(server))
    publisher.emit({"type": "STEP"})
    assert publisher.flush(10)
    stats = publisher.close()

    assert (stats.sent, stats.errors) == (1, 2)
    assert stats.last_error == "ZeroDivisionError: a bug in the factory"


def test_importing_it_brings_in_nothing_heavy() -> None:
    """Importing the publisher loads none of the worker's dependencies."""
    heavy = ("pydantic", "pydantic_settings", "msgspec", "rich", "structlog", "typer", "textual", "numpy")
    code = f"import sys, sanctum_bus.publisher; print([n for n in {heavy!r} if n in sys.modules])"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
