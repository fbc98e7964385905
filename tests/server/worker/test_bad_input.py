"""P33: input that no fold accepts, on real servers: it is parked with reason and bytes, or kept; every entry counts."""

import json
from typing import Any

import msgpack
import pytest

from tests.support.fold_run import Entry
from tests.support.servers import Server
from tests.support.worker_rig import Side, Texts, assert_is_fold, drain, plain, side_of


def _json(text: str) -> Entry:
    return {b"type": b"X", b"json": text.encode("utf-8", "surrogatepass")}


def _packed(body: Any) -> Entry:
    return {b"type": b"X", b"event": msgpack.packb(body)}


def _nested(depth: int) -> str:
    return f'{{"data":{{"x":{"[" * depth}{"]" * depth}}}}}'


GOOD = msgpack.packb({"v": 1, "timestamp": 1.0, "data": {"a": [1, 2.5, "text"], "b": {"c": None}}})

PARKED: dict[str, Entry] = {
    **{f"cut after {end}": {b"type": b"X", b"event": GOOD[:end]} for end in range(0, len(GOOD), 7)},
    "no type": {b"event": GOOD},
    "an empty type": {b"type": b"", b"event": GOOD},
    "a type that is not UTF-8": {b"type": b"\xff\xfe", b"event": GOOD},
    "a type of 200 bytes": {b"type": b"T" * 200, b"event": GOOD},
    "no event": {b"type": b"X"},
    "2 MiB": {b"type": b"X", b"event": b"x" * (2 << 20)},
    "3,000 raw fields": {b"type": b"X", **{f"f{number}".encode(): b"v" for number in range(3000)}},
    "a raw field without a name": {b"": b"x", b"type": b"X"},
    "a list": _packed([1]),
    "another wire version": _packed({"v": 2}),
    "1,025 fields": _packed({"data": {f"f{number}": 1 for number in range(1025)}}),
    "33 levels": _json(_nested(33)),
    "600 levels": _json(_nested(600)),
    "100,000 levels": _json(_nested(100_000)),
    "levels in MessagePack": {b"type": b"X", b"event": b"\x81\xa4data\x81\xa1x" + b"\x91" * 5000 + b"\x01"},
    "a map that claims a million entries": {b"type": b"X", b"event": b"\xdf\x00\x0f\x42\x40\xa1a\x01"},
    "keys equal as text": _packed({"data": {"m": {1: "a", "1": "b"}}}),
    "a map as a key": {b"type": b"X", b"event": b"\x81\xa4data\x81\xa1m\x81\x80\x01"},
    "data that is a list": _packed({"data": [1]}),
    "a timestamp that is a list": _packed({"timestamp": []}),
    "a timestamp of 400 digits": _json(f'{{"timestamp":{"1" * 400}}}'),
    "a timestamp that is infinite": _json('{"timestamp":1e999}'),
    "a number of 5,000 digits": _json(f'{{"data":{{"n":{"1" * 5000}}}}}'),
    "an epoch that is text": _packed({"epoch": "one"}),
    "env_id that is text": {
        b"type": b"EPOCH_COMPLETED",
        b"event": msgpack.packb({"data": {"env_id": "one"}}),
    },
    "env_id that is negative": {
        b"type": b"EPOCH_COMPLETED",
        b"event": msgpack.packb({"data": {"env_id": -1}}),
    },
    "seq that is not a number": {b"type": b"X", b"event": GOOD, b"producer": b"p", b"seq": b"one"},
    "seq 0": {b"type": b"X", b"event": GOOD, b"producer": b"p", b"seq": b"0"},
    "seq of 100 digits": {b"type": b"X", b"event": GOOD, b"producer": b"p", b"seq": b"9" * 100},
    "a producer of 1,000 bytes": {b"type": b"X", b"event": GOOD, b"producer": b"p" * 1000, b"seq": b"1"},
    "an extension type": {b"type": b"X", b"event": b"\x81\xa4data\x81\xa1a\xd4\x05\x01"},
}

CAPTURED: dict[str, Entry] = {
    "an unknown type": {b"type": "Ünbekannt ≠".encode(), b"event": GOOD},
    "a severity of bytes": _packed({"event_id": "a", "message": "b", "severity": b"\xff\x00"}),
    "a severity with keys that are numbers": _packed(
        {"event_id": "a", "message": "b", "severity": {1: b"\xff"}}
    ),
    "an event_id that is a map": _packed({"event_id": {"a": [b"\xff"]}, "message": [1]}),
    "half a surrogate pair as a name": _json('{"\\ud800":1}'),
    "half a surrogate pair inside": _json(
        '{"data":{"\\udfff":"\\ud800"},"labels":{"\\ud800":1},"message":"\\ud800"}'
    ),
    "bytes inside": _packed({"data": {"b": b"\x00\xff", "m": {b"\xff": 1}}}),
    "meaningless names": _packed({"data": {"": 1, "\x00": 2, " ": 3, "=!%": 4}}),
    "64 bits": _packed({"data": {"u": 2**64 - 1, "i": -(2**63)}}),
    "an integer of 100 digits": _json(f'{{"data":{{"n":{"9" * 100}}}}}'),
    "32 levels": _json(_nested(31)),
    "1,024 fields": _packed({"data": {f"f{number}": number for number in range(1024)}}),
}


def _raw(line: Texts) -> Entry:
    """Return the entry that a dead letter keeps."""
    if b"raw" in line:
        found: Entry = msgpack.unpackb(line[b"raw"], raw=True)
        return found
    return {name[4:]: value for name, value in line.items() if name.startswith(b"raw.")}


def _adds_up(side: Side) -> bool:
    counts = {name: int(side.checkpoint(name)) for name in ("entries", "events", "parked", "duplicates")}
    return counts["entries"] == counts["events"] + counts["parked"] + counts["duplicates"]


@pytest.mark.parametrize("name", PARKED)
def test_what_cannot_be_folded_is_parked_with_its_bytes(valkey: Server, name: str) -> None:
    """P33: the dead letter has the reason, the source ID and every raw field, and the entries around it are folded."""
    side = side_of(valkey)
    ids = side.add([*plain(1), PARKED[name], *plain(1, first=1)])

    drain(valkey)

    assert_is_fold(side)
    (line,) = side.dead()
    assert line[b"source_id"].decode() == ids[1]
    assert line[b"reason"]
    assert _raw(line) == PARKED[name]
    assert _adds_up(side)


@pytest.mark.parametrize("name", CAPTURED)
def test_what_is_merely_strange_is_captured(valkey: Server, name: str) -> None:
    """Strange but decodable input is kept, and a later load returns what was folded."""
    side = side_of(valkey)
    side.add([*plain(1), CAPTURED[name]])

    drain(valkey)

    assert_is_fold(side)
    assert side.checkpoint("parked") == "0"
    drain(valkey)
    assert_is_fold(side)


def test_all_of_it_at_once(server: Server) -> None:
    """P33: on every server, all bad input in one batch, each entry among good ones: every entry is accounted for."""
    side = side_of(server)
    bad = list(PARKED.values())
    side.add([one for pair in zip(bad, plain(len(bad)), strict=True) for one in pair])

    drain(server, dead_letter_max_bytes=1 << 30)

    assert_is_fold(side)
    assert [_raw(line) for line in side.dead()] == bad
    assert _adds_up(side)


def test_a_map_of_a_million_entries(server: Server) -> None:
    """An entry of 1,000,000 fields and 16 MiB is parked unchanged, and its neighbors are folded."""
    side = side_of(server)
    huge = _packed({"data": {f"f{number}": number for number in range(1_000_000)}})
    side.add([*plain(1), huge, *plain(1, first=1)])

    drain(server)

    assert_is_fold(side)
    assert _raw(side.dead()[0]) == huge


def test_dead_letters_are_capped_in_bytes(server: Server) -> None:
    """If large dead letters exceed the limit in bytes, the newest ones stay; the count of parked entries continues."""
    side = side_of(server)
    side.add([{b"type": b"X", b"event": bytes([number]) * 100_000} for number in range(60)])

    drain(server, dead_letter_max_bytes=1_000_000, read_batch_size=7)

    assert 1 <= len(side.dead()) <= 10
    assert side.dead()[-1][b"raw.event"] == bytes([59]) * 100_000
    assert side.checkpoint("parked") == "60"


def test_a_repeated_raw_field_is_parked_whole(valkey: Server) -> None:
    """P33: JSON text is parked as it was sent, with its repeated keys."""
    side = side_of(valkey)
    text = json.dumps({"data": {"env_id": "x"}}).replace("}}", ',"env_id":"y"}}').encode()
    side.add([{b"type": b"EPOCH_COMPLETED", b"json": text}])

    drain(valkey)

    assert side.dead()[0][b"raw.json"] == text
