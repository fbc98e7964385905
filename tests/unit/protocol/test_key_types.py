"""Keys of the wrong type: which they are, and how to repair each."""

import pytest
from redis.exceptions import ResponseError

from sanctum_bus.protocol import key_types
from sanctum_bus.protocol.keys import RunKeys

RUN = RunKeys("r", "p")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WRONGTYPE Operation against a key holding the wrong kind of value", True),
        ("Command # 2 (HGETALL p:x) of pipeline caused error: WRONGTYPE Operation", True),
        ("ERR unknown command 'WRONGTYPE'", False),
    ],
)
def test_the_error_of_a_wrong_type(text: str, *, expected: bool) -> None:
    """An error about a key type is recognized alone and in a pipeline."""
    assert key_types.is_wrong_type(ResponseError(text)) is expected


def test_keys_of_a_run() -> None:
    """Each key with a wrong type has its own remedy; missing keys and right types are not reported."""
    reply = [
        *(RUN.events.encode(), b"hash"),
        *(RUN.log.encode(), b"stream"),
        *(RUN.coverage.encode(), b"none"),
        *(RUN.checkpoint.encode(), b"list"),
        *(RUN.section("env:0").encode(), b"string"),
        *(RUN.none.encode(), b"none"),
    ]

    found = {wrong.key: wrong for wrong in key_types.answered(RUN, reply)}

    assert set(found) == {RUN.events, RUN.checkpoint, RUN.section("env:0")}
    assert "producers recreate it" in found[RUN.events].remedy
    assert "rename or delete it" in found[RUN.checkpoint].remedy
    assert "sanctum rebuild r" in found[RUN.section("env:0")].remedy
    assert str(found[RUN.events]).startswith("p:{r}:events has type hash, expected stream; ")


def test_shared_keys() -> None:
    """A key that belongs to no run is checked in the same way, with names from text or bytes."""
    (wrong,) = key_types.shared("p", {"p:runs": b"hash", "p:workers": "zset"})

    assert (wrong.key, wrong.wanted) == ("p:runs", "sorted set")


def test_the_refusal() -> None:
    """The error has the first wrong key and the number of others; without a wrong key it suggests to try again."""
    wrong = key_types.shared("p", {"p:runs": "hash", "p:workers": "hash"})

    assert "1 more keys have the wrong type: sanctum doctor" in str(key_types.refusal("the index", wrong))
    assert str(key_types.refusal("the index", wrong[:1])).endswith(wrong[0].remedy)
    assert str(key_types.refusal("the index", [])).endswith("try again")
