"""What a publisher promises to the training: it does not raise, does not block, does not touch what is not its own."""

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
    """A way to Redis that leads nowhere."""
    raise RedisConnectionError("there is none")


@pytest.mark.parametrize("run_id", ["", "-a", "a b", "a{b}", "x" * 129, "é", None, 7])
def test_a_wrong_run_is_said_at_once(run_id: str) -> None:
    """A wrong configuration is the one thing that raises, and it does so before training starts."""
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
    """Each is named in the message; a password is not."""
    with pytest.raises(InvalidArgument) as caught:
        make()

    assert "secret" not in str(caught.value)


def test_a_wrong_url_in_the_environment_is_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which variable to mend."""
    monkeypatch.setenv("SANCTUM_REDIS_URL", "nonsense")

    with pytest.raises(InvalidArgument, match="SANCTUM_REDIS_URL"):
        Publisher(RUN)


def test_emit_never_raises(server: Server) -> None:
    """Hostile events are counted, hostile values are sent as text, and the rest goes on in order."""
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
    """Neither start nor emit nor stats opens a connection: that is the thread's business, however long it takes."""
    threads: list[threading.Thread] = []

    def factory() -> Redis:
        threads.append(threading.current_thread())
        raise RedisConnectionError("there is none")

    publisher = Publisher(RUN, client_factory=factory)
    publisher.start()
    for event in numbered(10):
        publisher.emit(event)
    wait_until(lambda: threads, "the thread has tried")
    publisher.close(0)

    assert threading.current_thread() not in threads
    assert all(thread.daemon for thread in threads)


def test_what_comes_after_close_is_dropped_and_counted(server: Server) -> None:
    """It leaves no gap in the numbers, and what was said at the end stays true."""
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP"})
    publisher.close()
    publisher.emit({"type": "STEP"})
    publisher.start()
    stats = publisher.close()

    assert (stats.emitted, stats.sent, stats.dropped, stats.buffered) == (2, 1, 1, 0)
    assert [entry.type for entry in entries(server.client())] == ["STEP", "_closed"]


def test_a_publisher_without_events_leaves_no_trace(server: Server) -> None:
    """Only events make a stream; a publisher that had none says no goodbye either."""
    with Publisher(RUN, url=server.url) as publisher:
        assert publisher.flush()
        assert publisher.producer is not None
    unused = Publisher(RUN, url=server.url)

    assert unused.close().emitted == 0
    assert unused.producer is None
    assert server.client().keys("*") == []


def test_two_publishers_are_two_producers(server: Server) -> None:
    """Under one label, in one process: each counts from 1 under an id of its own, so neither looks like duplicates."""
    first, second = (Publisher(RUN, url=server.url, producer="rank0") for _ in range(2))
    for publisher in (first, second):
        publisher.emit({"type": "STEP"})
        publisher.close()

    sent = entries(server.client())
    assert [entry.seq for entry in sent] == [1, 2, 1, 2]
    assert len({entry.producer for entry in sent}) == 2


def test_many_threads_emit_and_nothing_is_lost_or_doubled(server: Server) -> None:
    """The numbers have no gap, and each thread's own events stay in its order."""
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
    """A training that is told to stop says so in its last event, from within the handler."""
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
    """Then the thread learns it at once, sends what there is, says goodbye, and ends."""
    publisher = Publisher(RUN, url=server.url)
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        publisher.close()
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        publisher.emit({"type": "STEP"})

    client = server.client()
    wait_until(lambda: len(entries(client)) == 2, "the event and the goodbye are there")
    assert seqs(client) == [1, 2]


def test_the_trainings_random_numbers_are_left_alone() -> None:
    """The same seed must give the same training, with a publisher or without."""
    random.seed(1)
    expected = random.random()  # noqa: S311  # no secret is at stake
    random.seed(1)

    publisher = Publisher(RUN, client_factory=nowhere)
    publisher.emit({"type": "STEP"})
    wait_until(lambda: publisher.stats.errors >= 2, "it has waited with jitter")
    publisher.close(0)

    assert random.random() == expected  # noqa: S311  # likewise


def test_without_threads_events_wait(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started now the next event tries again, and nothing is raised."""
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
    """A client factory that fails in a way nobody thought of."""

    server: Server
    fails: int = 2

    def __call__(self) -> Redis:
        """Fail, or make a client."""
        if self.fails:
            self.fails -= 1
            raise ZeroDivisionError("a bug in somebody's factory")
        return Gate(self.server.url)()


def test_no_error_ends_the_thread(server: Server) -> None:
    """Whatever a client raises is trouble like any other: it is counted, and tried again."""
    publisher = Publisher(RUN, client_factory=Broken(server))
    publisher.emit({"type": "STEP"})
    assert publisher.flush(10)
    stats = publisher.close()

    assert (stats.sent, stats.errors) == (1, 2)
    assert stats.last_error == "ZeroDivisionError: a bug in somebody's factory"


def test_importing_it_brings_in_nothing_heavy() -> None:
    """Training processes are many; they get redis and msgpack, and nothing of what the worker needs."""
    heavy = ("pydantic", "pydantic_settings", "msgspec", "rich", "structlog", "typer", "textual", "numpy")
    code = f"import sys, sanctum_bus.publisher; print([n for n in {heavy!r} if n in sys.modules])"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
