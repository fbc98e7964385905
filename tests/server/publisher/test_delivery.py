"""Delivery to real servers: order, numbers, one transaction per batch, the report and the index of runs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from redis import Redis

from sanctum_bus.publisher import Publisher, PublisherStats
from sanctum_bus.reader import Reader
from tests.support.published import EVENTS, INDEX, PRODUCERS, RUN, entries, numbered, report, seqs
from tests.support.servers import VALKEY_9, Server, StartServer, free_port
from tests.support.waiting import wait_until


def calls(client: Redis, command: str) -> int:
    """Return how often the server has executed a command."""
    stats: Any = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_events_arrive_in_order_and_numbered(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Every event is in the stream once, in the order of `emit`, and an end-of-stream marker follows."""
    publisher = Publisher(RUN, url=server.url, producer="rank0", batch_events=7)
    for event in numbered(100):
        publisher.emit(event)
    assert publisher.flush(10)
    assert report(server.client(), publisher.producer)["sent"] == 100
    stats = publisher.close()

    sent = entries(server.client())
    assert [entry.seq for entry in sent] == list(range(1, 102))
    assert [entry.body["data"].get("number") for entry in sent[:-1]] == list(range(1, 101))
    assert {entry.producer for entry in sent} == {publisher.producer}
    assert str(publisher.producer).startswith("rank0-")
    assert (sent[-1].type, sent[-1].body["data"]) == ("_closed", {"sent": 100, "dropped": 0})
    assert stats == PublisherStats(100, 100, 0, 0, 0, 0, 0, None)
    last = report(server.client(), publisher.producer)
    assert (last["sent"], last["dropped"]) == (100, 0)
    assert caplog.records == []


def test_a_batch_is_one_transaction(server: Server) -> None:
    """A batch of any size is one transaction: separate XADDs could fail in the middle and change the order."""
    client = server.client()
    client.config_resetstat()
    publisher = Publisher(RUN, url=server.url, batch_events=10, linger_s=60)
    for event in numbered(25):
        publisher.emit(event)

    assert publisher.flush(10)
    assert (calls(client, "exec"), calls(client, "xadd"), calls(client, "hset")) == (3, 25, 3)
    publisher.close()
    assert calls(client, "exec") == 4


def test_the_server_counts_no_errors(start_server: StartServer) -> None:
    """A publisher without failures causes no entry in the server's error statistics, over TCP either."""
    server = start_server(VALKEY_9, port=free_port())
    client = server.client()
    client.ping()
    client.config_resetstat()
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP"})
    publisher.close()

    assert client.info("errorstats") == {}


def test_a_lone_event_does_not_wait_for_company(server: Server) -> None:
    """An incomplete batch is sent after milliseconds."""
    publisher = Publisher(RUN, url=server.url)
    client = server.client()
    publisher.emit({"type": "STEP"})

    wait_until(lambda: client.xlen(EVENTS) == 1, "the event is in the stream")
    publisher.close()


def test_the_run_is_in_the_index_with_the_servers_time(server: Server) -> None:
    """The index of runs has the time of the server, so a wrong clock of the training host has no effect."""
    client = server.client()
    before: Any = client.time()
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP"})
    publisher.close()
    after: Any = client.time()

    score: Any = client.zscore(INDEX, RUN)
    assert before[0] * 1000 <= score <= (after[0] + 1) * 1000


def test_the_index_never_goes_back(server: Server) -> None:
    """A publisher never lowers the time of a run in the index: another producer may have set a later one."""
    client = server.client()
    client.zadd(INDEX, {RUN: 9e15})
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP"})
    publisher.close()

    assert client.zscore(INDEX, RUN) == 9e15


def test_labels_go_with_the_first_event_and_with_each_start(server: Server) -> None:
    """The producer's first event and each TRAINING_STARTED carry the labels."""
    publisher = Publisher(RUN, url=server.url, labels={"gpu": "h100", "nodes": 2})  # type: ignore[dict-item]  # a number
    for kind in ("STEP", "STEP", "TRAINING_STARTED", "STEP"):
        publisher.emit({"event_type": kind})
    publisher.close()

    labels = [entry.body.get("labels") for entry in entries(server.client())]
    assert labels == [{"gpu": "h100", "nodes": "2"}, None, {"gpu": "h100", "nodes": "2"}, None, None]


class Kind(Enum):
    """Event types of the hub."""

    EPOCH_COMPLETED = 1


@dataclass
class Epoch:
    """A typed payload."""

    env_id: int
    val_loss: float


@dataclass
class HubEvent:
    """An event of the hub."""

    event_type: Kind
    timestamp: datetime
    data: Epoch


class Hub:
    """The hub of a training script, reduced to its calls of a backend."""

    def __init__(self) -> None:
        self.backends: list[Publisher] = []

    def add_backend(self, backend: Publisher) -> None:
        """Start a backend and keep it."""
        backend.start()
        self.backends.append(backend)

    def emit(self, event: HubEvent) -> None:
        """Pass an event to all backends."""
        for backend in self.backends:
            backend.emit(event)

    def close(self) -> None:
        """Close all backends."""
        for backend in self.backends:
            backend.close()


def test_a_publisher_is_a_backend_of_the_hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hub.add_backend(Publisher(run))` is sufficient; the URL comes from the environment."""
    monkeypatch.setenv("SANCTUM_REDIS_URL", server.url)
    hub = Hub()
    hub.add_backend(Publisher(RUN))
    event = HubEvent(Kind.EPOCH_COMPLETED, datetime(2026, 1, 1, tzinfo=UTC), Epoch(3, 0.5))
    hub.emit(event)
    event.data.val_loss = 99.0
    hub.close()

    first = entries(server.client())[0]
    assert (first.type, first.body["timestamp"]) == ("EPOCH_COMPLETED", 1767225600.0)
    assert first.body["data"] == {"env_id": 3, "val_loss": 0.5}


def test_the_environment_says_what_keys_begin_with(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishers and readers use the key prefix of the environment, like workers and commands."""
    monkeypatch.setenv("SANCTUM_REDIS_URL", server.url)
    monkeypatch.setenv("SANCTUM_KEY_PREFIX", "other")
    with Publisher(RUN) as publisher:
        publisher.emit({"type": "STEP"})

    client = server.client()
    assert client.exists(f"other:{{{RUN}}}:events") == 1
    assert client.keys("nissa:*") == []
    with Reader() as reader:
        assert [run.run_id for run in reader.runs()] == [RUN]


def test_an_emptied_server_gets_the_start_of_every_group_again(server: Server) -> None:
    """After a flush of the server each group's TRAINING_STARTED is sent again, marked `again`, with the next number."""
    client = server.client()
    publisher = Publisher(RUN, url=server.url, labels={"a": "b"})
    for group in ("A", "B", None):
        publisher.emit({"event_type": "TRAINING_STARTED", "event_id": f"id-{group}", "group_id": group})
    publisher.emit({"type": "STEP"})
    assert publisher.flush(10)
    client.flushall()
    publisher.emit({"type": "STEP", "event_id": "later"})
    stats = publisher.close()

    sent = entries(client)
    assert [entry.seq for entry in sent] == [5, 6, 7, 8, 9]
    assert [entry.type for entry in sent] == ["STEP", *["TRAINING_STARTED"] * 3, "_closed"]
    assert [entry.body.get("event_id") for entry in sent[1:4]] == ["id-A", "id-B", "id-None"]
    assert all(entry.body["again"] is True and entry.body["labels"] == {"a": "b"} for entry in sent[1:4])
    assert (stats.emitted, stats.sent) == (8, 8)
    assert client.zscore(INDEX, RUN) is not None


def test_a_start_that_comes_after_the_emptying_is_not_repeated(server: Server) -> None:
    """A TRAINING_STARTED that was emitted after the flush is not sent twice."""
    client = server.client()
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"event_type": "TRAINING_STARTED"})
    assert publisher.flush(10)
    client.flushall()
    publisher.emit({"event_type": "TRAINING_STARTED"})
    publisher.close()

    assert [(entry.type, entry.seq) for entry in entries(client)] == [("TRAINING_STARTED", 2), ("_closed", 3)]


def test_a_server_emptied_just_before_the_end_is_told_too(server: Server) -> None:
    """If the end-of-stream marker detects the flush, TRAINING_STARTED follows, then a second marker."""
    client = server.client()
    publisher = Publisher(RUN, url=server.url, labels={"a": "b"})
    publisher.emit({"event_type": "TRAINING_STARTED"})
    assert publisher.flush(10)
    client.flushall()
    publisher.close()

    assert [entry.type for entry in entries(client)] == ["_closed", "TRAINING_STARTED", "_closed"]
    assert seqs(client) == [2, 3, 4]


def test_an_event_over_the_workers_limit_is_sent_all_the_same(server: Server) -> None:
    """An event over the worker's limit is sent: the worker parks it with its bytes, and a person can examine it."""
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP", "data": {"text": "x" * (3 << 20)}})
    stats = publisher.close()

    assert len(entries(server.client())[0].body["data"]["text"]) == 3 << 20
    assert stats.sent == 1


def test_a_stream_can_be_bounded(server: Server) -> None:
    """`maxlen` bounds the stream, for servers with little memory and no worker."""
    publisher = Publisher(RUN, url=server.url, maxlen=100)
    for event in numbered(2000):
        publisher.emit(event)
    publisher.close()

    assert server.client().xlen(EVENTS) < 1000


def test_the_producers_hash_being_something_else_stops_no_event(server: Server) -> None:
    """If the producers hash has another type, events are still sent, and the failure is counted."""
    client = server.client()
    client.set(PRODUCERS, "not a hash")
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP"})
    stats = publisher.close()

    assert seqs(client) == [1, 2]
    assert stats.errors >= 1
    assert "WRONGTYPE" in str(stats.last_error)


def test_the_index_being_something_else_stops_no_event(server: Server) -> None:
    """If the index has another type, events are still sent: a worker finds the stream with a scan."""
    client = server.client()
    client.set(INDEX, "not a sorted set")
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"type": "STEP"})
    stats = publisher.close()

    assert seqs(client) == [1, 2]
    assert "WRONGTYPE" in str(stats.last_error)
