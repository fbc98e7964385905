"""Faults of the server: the publisher reports them and keeps its events, and at the end the stream has every number.

`test_failures.py` and `test_delivery.py` cover servers that are full, flushed or killed repeatedly, and keys of a wrong
type.
"""

import pytest

from sanctum_bus.publisher import Publisher
from tests.server.publisher.test_failures import firsts, repeats_only_what_came_last
from tests.support.faults import DEADLINE_S, FAULTS, Fault
from tests.support.published import EVENTS, PRODUCERS, RUN, entries, numbered, seqs
from tests.support.servers import SUPPORTED, Server, ServerKind, StartServer
from tests.support.waiting import wait_until
from tests.support.worker_rig import assert_is_fold, drain, side_of


def wait_for_error(publisher: Publisher, words: str) -> None:
    """Wait until the publisher's last error contains these words."""
    wait_until(
        lambda: words in str(publisher.stats.last_error), f"the last error contains {words!r}", DEADLINE_S
    )


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_a_fault_under_a_publisher(
    start_server: StartServer, kind: ServerKind, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P17: events emitted during a fault follow in order; a batch without a reply is in the stream once or twice."""
    monkeypatch.setattr("sanctum_bus.publisher.config.ANSWER_TIMEOUT_S", 1.0)
    server = fault.start(start_server, kind)
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"event_type": "STEP"})
    assert publisher.flush(DEADLINE_S)
    with fault.lasts(server):
        for event in numbered(50):
            publisher.emit(event)
        wait_for_error(publisher, fault.error)
    assert publisher.flush(DEADLINE_S)
    stats = publisher.close(DEADLINE_S)

    found = seqs(server.client())
    assert firsts(found) == list(range(1, 53))
    assert repeats_only_what_came_last(found)
    assert (stats.sent, stats.dropped, stats.buffered) == (51, 0, 0)


def test_wrong_credentials_are_said_and_raise_nothing(
    valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """P17: training continues without telemetry. The log and the stats name the error, and contain no password."""
    publisher = Publisher(RUN, url=valkey.url.replace("unix://", "unix://nobody:hidden@"))
    publisher.emit({"event_type": "STEP"})
    wait_for_error(publisher, "AuthenticationError")
    stats = publisher.close(0.1)

    assert stats.buffered == 1
    assert "cannot send events" in caplog.text
    assert "hidden" not in caplog.text + str(stats)


def test_a_stream_that_was_deleted_is_made_again(server: Server) -> None:
    """P10: the numbers continue in the new stream, so the fold counts the missing ones."""
    publisher = Publisher(RUN, url=server.url)
    for event in numbered(5):
        publisher.emit(event)
    assert publisher.flush(DEADLINE_S)
    server.client().delete(EVENTS)
    for event in numbered(5, 6):
        publisher.emit(event)
    publisher.close(DEADLINE_S)

    assert seqs(server.client()) == list(range(6, 12))
    drain(server)
    side = side_of(server, RUN)
    assert side.checkpoint("lost") == '{"before this history":5}'


def test_a_report_that_was_deleted_costs_a_second_start(server: Server) -> None:
    """A10: a deleted report looks like a flushed server: TRAINING_STARTED is sent again, and resets nothing."""
    publisher = Publisher(RUN, url=server.url)
    publisher.emit({"event_type": "TRAINING_STARTED", "data": {"n_envs": 2, "task": "cifar10"}})
    publisher.emit({"event_type": "BATCH_EPOCH_COMPLETED", "data": {"episodes_completed": 2}})
    assert publisher.flush(DEADLINE_S)
    server.client().delete(PRODUCERS)
    publisher.emit({"event_type": "STEP"})
    publisher.close(DEADLINE_S)

    assert seqs(server.client()) == list(range(1, 6))
    assert [entry.type for entry in entries(server.client())].count("TRAINING_STARTED") == 2
    drain(server)
    side = side_of(server, RUN)
    assert_is_fold(side)
    assert side.sections()["batch"][b"episodes_completed"] == b"2"
    assert side.checkpoint("lost") == "{}"
