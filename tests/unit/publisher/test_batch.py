"""A batch: its commands, and the meaning of its replies."""

import json

import pytest
from redis.exceptions import ResponseError

from sanctum_bus.connection.retry import MAX_BACKOFF_S, backoff_s
from sanctum_bus.publisher.batch import BatchResult, Route, batch_commands, parse_replies
from sanctum_bus.publisher.entry import Counts, Entry

ERROR = ResponseError("WRONGTYPE")
COUNTS = Counts(9, 4, 3, 2, 1, 0, 0)


def test_a_batch_is_its_entries_and_one_report() -> None:
    """The report is in the same transaction as the events: a worker never sees a gap without the count that explains it."""
    route = Route("events", "producers", "p")

    *added, report = batch_commands(route, [Entry(6, "A", b"a"), Entry(7, "B", b"b")], 6, COUNTS, 1.23456)

    assert added == [
        ("XADD", "events", "*", "type", "A", "producer", "p", "seq", 6, "event", b"a"),
        ("XADD", "events", "*", "type", "B", "producer", "p", "seq", 7, "event", b"b"),
    ]
    assert report[:3] == ("HSET", "producers", "p")
    assert json.loads(str(report[3])) == {"sent": 6, "dropped": 2, "at": 1.235}


def test_a_stream_is_bounded_only_if_that_is_asked_for() -> None:
    """MAXLEN can delete unread entries, so it is sent only if the publisher has a `maxlen`."""
    route = Route("events", "producers", "p", maxlen=10)

    first, _ = batch_commands(route, [Entry(1, "A", b"a")], 1, COUNTS, 1.0)

    assert first[:6] == ("XADD", "events", "MAXLEN", "~", 10, "*")


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([b"1-0", b"1-1", 0], BatchResult(2, 0, first_report=False, error=None)),
        ([b"1-0", 1], BatchResult(1, 0, first_report=True, error=None)),
        ([b"1-0", ERROR], BatchResult(1, 0, first_report=False, error=ERROR)),
        ([ERROR, ERROR, 0], BatchResult(0, 0, first_report=False, error=ERROR)),
        ([b"1-0", ERROR, 0], BatchResult(1, 0, first_report=False, error=ERROR)),
        ([ERROR, b"1-0", ERROR, b"1-1", ERROR, 0], BatchResult(2, 2, first_report=False, error=ERROR)),
    ],
)
def test_replies_are_judged_one_by_one(replies: list[object], expected: BatchResult) -> None:
    """Entries after the last accepted one can be sent again; refused entries before it are lost, and counted."""
    assert parse_replies(replies) == expected


def test_waits_grow_and_are_bounded() -> None:
    """The waits between attempts grow up to two seconds."""
    longest = [backoff_s(attempt, 1.0) for attempt in (1, 2, 3, 7, 10_000)]

    assert longest == [0.05, 0.1, 0.2, MAX_BACKOFF_S, MAX_BACKOFF_S]
    assert backoff_s(3, 0.0) == 0.1
