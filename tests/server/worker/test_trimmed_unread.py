"""Acquiring a run whose stream has lost unread entries."""

import pytest

from sanctum_bus.fold.aggregate import Aggregate
from tests.support.fold_run import Entry, entry
from tests.support.servers import Server
from tests.support.worker_rig import Texts, differences, drain, side_of


def _numbered(first: int, count: int) -> list[Entry]:
    return [entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(first, first + count)]


def _loss(line: Texts) -> tuple[bytes, ...]:
    return tuple(line[name] for name in (b"type", b"lost", b"trimmed"))


@pytest.mark.parametrize(("deleted", "at_least"), [("trimmed", b"4"), ("deleted one by one", b"1")])
def test_entries_that_went_unread(server: Server, deleted: str, at_least: bytes) -> None:
    """P18, P19: unread entries that the stream lost are counted by `seq`, and reported as a range of IDs and in the next line."""
    side = side_of(server)
    side.add(_numbered(1, 5))
    drain(server)
    ids = side.add(_numbered(6, 6))
    if deleted == "trimmed":
        side.redis.xtrim(side.keys.events, minid=ids[4], approximate=False)
    else:
        side.redis.xdel(side.keys.events, *ids[:4])

    drain(server)

    assert side.checkpoint("lost") == '{"gap":4}'
    assert side.checkpoint("events") == "7"
    assert '"reason":"trimmed"' in side.checkpoint("lost_ranges")
    lines = side.lines(side.keys.log)
    assert [(line_id, _loss(fields)) for line_id, fields in lines] == [(ids[4], (b"_lost", b"4", at_least))]


def test_a_trim_is_told_once(server: Server) -> None:
    """An owner that finds no entry, and the one after it, leave the log line to the next entry."""
    side = side_of(server)
    side.add(_numbered(1, 5))
    drain(server)
    side.add(_numbered(6, 4))
    side.redis.xtrim(side.keys.events, maxlen=0, approximate=False)
    drain(server)
    drain(server)
    before = side.lines(side.keys.log)

    (next_id,) = side.add(_numbered(10, 1))
    drain(server)
    drain(server)

    assert before == []
    lines = side.lines(side.keys.log)
    assert [(line_id, _loss(fields)) for line_id, fields in lines] == [(next_id, (b"_lost", b"4", b"4"))]
    assert side.checkpoint("lost_ranges").count("trimmed") == 1


def test_a_history_that_the_stream_no_longer_has(server: Server) -> None:
    """A7: a new history over a trimmed stream reports how many events came before it."""
    side = side_of(server)
    side.add(_numbered(1, 10))
    drain(server)
    side.redis.xtrim(side.keys.events, maxlen=3, approximate=False)
    side.redis.delete(side.keys.checkpoint)

    drain(server)

    expected = Aggregate()
    expected.record_trim(side.stream()[0][0], 7)
    for each in side.stream():
        expected.apply(*each)
    assert differences(side, expected) == {}
    assert side.checkpoint("lost") == '{"before this history":7}'
    assert '"reason":"trimmed"' in side.checkpoint("lost_ranges")
