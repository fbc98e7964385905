"""Servers that are unavailable, full, killed or silent: no event is lost, and the order stays."""

import logging
import socket
import threading
import time

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sanctum_bus.publisher import Publisher
from sanctum_bus.publisher.config import client_factory_for
from tests.support.published import EVENTS, RUN, Gate, entries, numbered, report, seqs
from tests.support.servers import Server, StartServer
from tests.support.waiting import wait_until


def firsts(numbers: list[int]) -> list[int]:
    """Return each number once, in order of first appearance."""
    return list(dict.fromkeys(numbers))


def repeats_only_what_came_last(numbers: list[int]) -> bool:
    """Return whether there are no gaps, and every repetition is a batch directly after itself."""
    highest = at = 0
    while at < len(numbers):
        batch = list(range(numbers[at], highest + 1)) or [highest + 1]
        if numbers[at : at + len(batch)] != batch:
            return False
        highest = max(highest, batch[-1])
        at += len(batch)
    return True


def wait_for_sent(publisher: Publisher, events: int) -> None:
    """Wait until the server has accepted this many events."""
    wait_until(lambda: publisher.stats.sent >= events, f"{events} events were accepted")


def wait_for_errors(publisher: Publisher, errors: int) -> None:
    """Wait until this many attempts have failed."""
    wait_until(lambda: publisher.stats.errors >= errors, f"{errors} attempts failed")


def test_a_server_that_comes_later_gets_everything(start_server: StartServer) -> None:
    """Training can start before the server: its events wait in the buffer."""
    server = start_server()
    server.stop()
    publisher = Publisher(RUN, url=server.url)
    publisher.start()
    for event in numbered(50):
        publisher.emit(event)
    wait_for_errors(publisher, 2)
    assert not publisher.flush(0.01)
    server.start()

    assert publisher.flush(20)
    stats = publisher.close()
    assert seqs(server.client()) == list(range(1, 52))
    assert (stats.sent, stats.buffered) == (50, 0)
    assert "ConnectionError" in str(stats.last_error)


def test_a_server_that_is_killed_again_and_again_has_everything_in_the_end(start_server: StartServer) -> None:
    """The stream has every number, in order of first appearance. A repetition is a whole batch that was sent again."""
    server = start_server()
    publisher = Publisher(RUN, url=server.url, batch_events=20)
    emitted = 0
    for _ in range(4):
        errors = publisher.stats.errors
        for event in numbered(300, emitted + 1):
            publisher.emit(event)
        emitted += 300
        wait_for_sent(publisher, emitted - 250)
        server.kill()
        publisher.emit({"type": "STEP", "data": {"number": emitted + 1}})
        emitted += 1
        wait_for_errors(publisher, errors + 1)
        server.start()
    assert publisher.flush(30)
    stats = publisher.close()

    client = server.client()
    found = seqs(client)
    assert firsts(found) == list(range(1, emitted + 2))
    assert repeats_only_what_came_last(found)
    numbers = {entry.seq: entry.body["data"]["number"] for entry in entries(client) if entry.type == "STEP"}
    assert all(seq == number for seq, number in numbers.items())
    assert (stats.sent, stats.dropped) == (emitted, 0)


def test_a_batch_whose_answer_was_lost_is_sent_again_as_it_was(server: Server) -> None:
    """A batch without a reply may have arrived. It is sent again unchanged, so its numbers show that it is a duplicate."""
    gate = Gate(server.url, lost_replies=2)
    publisher = Publisher(RUN, client_factory=gate, batch_events=5, linger_s=60)
    for event in numbered(10):
        publisher.emit(event)
    assert publisher.flush(10)
    stats = publisher.close()

    found = seqs(server.client())
    assert found == [*range(1, 6)] * 3 + [*range(6, 12)]
    assert repeats_only_what_came_last(found)
    assert (stats.sent, stats.errors) == (10, 2)
    assert gate.clients == 3
    assert report(server.client(), publisher.producer)["sent"] == 10


def test_a_full_buffer_drops_the_oldest_but_never_what_is_under_way(server: Server) -> None:
    """The gap in the numbers equals the count in the report, in the end-of-stream marker and in the result of `close`."""
    gate = Gate(server.url, closed=True)
    publisher = Publisher(RUN, client_factory=gate, batch_events=5, buffer_events=10, linger_s=0)
    for event in numbered(5):
        publisher.emit(event)
    wait_for_errors(publisher, 1)
    in_flight = 5
    for event in numbered(100, 6):
        publisher.emit(event)
    gate.closed = False
    stats = publisher.close()

    client = server.client()
    found = seqs(client)
    assert found[-11:] == list(range(96, 107))
    assert found[:-11] == list(range(1, len(found) - 10))
    assert 1 <= len(found[:-11]) <= in_flight
    dropped = 105 - len(found) + 1
    assert (stats.dropped, report(client, publisher.producer)["dropped"]) == (dropped, dropped)
    assert entries(client)[-1].body["data"] == {"sent": 105 - dropped, "dropped": dropped}


def test_a_start_that_was_dropped_comes_again(server: Server) -> None:
    """A TRAINING_STARTED that was dropped during an outage is sent again, so the run keeps its configuration."""
    gate = Gate(server.url, closed=True)
    publisher = Publisher(RUN, client_factory=gate, batch_events=1, buffer_events=3)
    publisher.emit({"type": "STEP"})
    wait_for_errors(publisher, 1)
    publisher.emit({"type": "TRAINING_STARTED", "data": {"n_envs": 2}})
    for event in numbered(5):
        publisher.emit(event)
    gate.closed = False
    publisher.close()

    starts = [entry for entry in entries(server.client()) if entry.type == "TRAINING_STARTED"]
    assert [(entry.body["data"], entry.body["again"]) for entry in starts] == [({"n_envs": 2}, True)]
    found = seqs(server.client())
    assert found == sorted(set(found))


def test_a_batch_that_was_taken_in_part_never_goes_back(server: Server) -> None:
    """No known server accepts a part of a batch. Entries after the last accepted one are sent again; those before it count as dropped."""
    gate = Gate(server.url, refused=frozenset({1, 4}))
    publisher = Publisher(RUN, client_factory=gate, batch_events=5, linger_s=60)
    for event in numbered(5):
        publisher.emit(event)
    assert publisher.flush(10)
    stats = publisher.close()

    assert seqs(server.client()) == [1, 3, 4, 5, 6]
    assert (stats.sent, stats.dropped, stats.buffered) == (4, 1, 0)
    assert entries(server.client())[-1].body["data"] == {"sent": 4, "dropped": 1}


def test_a_key_that_is_no_stream_is_waited_for(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """If the key of the stream has another type, nothing is added; after the key is removed every event arrives."""
    client = server.client()
    client.set(EVENTS, "not a stream")
    publisher = Publisher(RUN, url=server.url)
    for event in numbered(10):
        publisher.emit(event)
    wait_for_errors(publisher, 2)
    assert "WRONGTYPE" in str(publisher.stats.last_error)
    assert "cannot send events" in caplog.text
    client.delete(EVENTS)

    assert publisher.flush(10)
    publisher.close()
    assert seqs(client) == list(range(1, 12))


def test_a_full_server_gets_the_batch_when_it_has_room(start_server: StartServer) -> None:
    """A server that is out of memory refuses the whole transaction; the batch arrives complete and in order later."""
    server = start_server()
    client = server.client()
    publisher = Publisher(RUN, url=server.url, batch_events=50)
    client.config_set("maxmemory", "1")
    for event in numbered(200):
        publisher.emit(event)
    wait_for_errors(publisher, 2)
    assert client.xlen(EVENTS) == 0
    client.config_set("maxmemory", "0")

    assert publisher.flush(10)
    publisher.close()
    assert seqs(client) == list(range(1, 202))


def test_closing_takes_no_longer_than_told_when_redis_is_away() -> None:
    """`close` returns within its timeout, and its result has the number of unsent events."""
    publisher = Publisher(RUN, url="redis://127.0.0.1:1/0")
    for event in numbered(20):
        publisher.emit(event)
    before = time.monotonic()
    stats = publisher.close(0.2)

    assert time.monotonic() - before < 1.0
    assert (stats.emitted, stats.sent, stats.buffered) == (20, 0, 20)


def test_closing_takes_no_longer_than_told_when_redis_does_not_answer() -> None:
    """A server that accepts a connection but never replies blocks the thread for seconds; `close` does not wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publisher = Publisher(RUN, url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0", close_timeout_s=0.2)
        publisher.emit({"type": "STEP"})
        before = time.monotonic()
        stats = publisher.close()

        assert time.monotonic() - before < 1.0
        assert stats.buffered == 1


def test_trouble_is_logged_when_it_starts_changes_and_ends(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A long outage is two log lines, plus one for each change of the error. The last line has the number of dropped events."""
    gate = Gate(server.url, closed=True)
    with caplog.at_level(logging.INFO, "sanctum_bus.publisher"):
        publisher = Publisher(RUN, client_factory=gate, buffer_events=1, batch_events=1)
        publisher.emit({"type": "STEP"})
        # The event is in flight now, so it is not the one that is dropped.
        wait_for_errors(publisher, 1)
        for event in numbered(2):
            publisher.emit(event)
        wait_for_errors(publisher, 3)
        gate.url, gate.closed = "redis://127.0.0.1:1/0", False
        wait_until(lambda: "Error 111" in str(publisher.stats.last_error), "it has failed in another way")
        gate.url = server.url
        assert publisher.flush(10)
        publisher.emit({"no": "type"})
        publisher.close()
        publisher.emit({"type": "STEP"})
        publisher.emit({"type": "STEP"})

    lines = [record.getMessage() for record in caplog.records]
    starts = [line for line in lines if "cannot send events" in line]
    assert len(starts) == 2
    assert "the gate is closed" in starts[0]
    assert "Error 111" in starts[1]
    assert len([line for line in lines if "can send events" in line and "again after" in line]) == 1
    assert len([line for line in lines if "came after close" in line]) == 1
    assert any("1 dropped, 1 rejected" in line for line in lines)


def test_connections_are_new_after_a_failure_and_few_otherwise(server: Server) -> None:
    """A run uses one connection; after a failure the connection is replaced."""
    gate = Gate(server.url)
    publisher = Publisher(RUN, client_factory=gate, batch_events=1)
    for event in numbered(50):
        publisher.emit(event)
    assert publisher.flush(10)
    assert gate.clients == 1

    _drop_other_clients(server.client())
    publisher.emit({"type": "STEP"})
    assert publisher.flush(10)
    publisher.close()
    assert firsts(seqs(server.client())) == list(range(1, 53))


def test_a_client_never_tries_again_by_itself() -> None:
    """The client makes one attempt. Only the publisher decides to send a batch again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections: list[int] = []

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.append(1)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(RedisConnectionError):
            client_factory_for(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")().ping()
        listener.shutdown(socket.SHUT_RDWR)

        assert len(connections) == 1


def _drop_other_clients(client: Redis) -> None:
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
