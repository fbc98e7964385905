"""Entries that are not events."""

import msgpack
import pytest

from tests.support.fold_run import Entry, Run


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"event": msgpack.packb({"data": {}})},
        {b"type": b"", b"event": msgpack.packb({"data": {}})},
        {b"type": b"\xff", b"event": msgpack.packb({"data": {}})},
        {b"type": b"OTHER"},
        {b"type": b"OTHER", b"event": b"\xc1"},
        {b"type": b"OTHER", b"event": msgpack.packb([1])},
        {b"type": b"OTHER", b"json": b"{"},
        {b"type": b"OTHER", b"json": b"[" * 100_000},
        {b"type": b"OTHER", b"json": b"3"},
        {b"type": b"OTHER", b"event": msgpack.packb({"v": 2, "data": {}})},
        {b"type": b"OTHER", b"event": msgpack.packb({"data": [1]})},
        {b"type": b"OTHER", b"event": msgpack.packb({"timestamp": "noon", "data": {}})},
        {b"type": b"OTHER", b"event": msgpack.packb({"data": {1: "a", "1": "b"}})},
        {b"type": b"OTHER", b"event": msgpack.packb({"data": {"a": b"x" * (1 << 20)}})},
        {b"type": b"OTHER", b"event": msgpack.packb({"data": {f"f{n}": n for n in range(1025)}})},
        {b"type": b"OTHER", b"event": msgpack.packb({"data": {"x" * 129: 1}})},
    ],
    ids=range(17),
)
def test_no_event_at_all(fields: Entry) -> None:
    """An entry that cannot be decoded, has no type, an unknown version, or exceeds a limit is parked with its raw fields."""
    run = Run()

    entry_id = run.raw(fields)

    ((parked_id, reason, raw),) = run.parked()
    assert (parked_id, raw) == (entry_id, fields)
    assert reason
    assert run.sections == {}
