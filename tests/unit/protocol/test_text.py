"""The text rule: every value of the JSON model survives a hash, and people can read it there."""

import gc
import json
import math
import re
import struct
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sanctum_bus.protocol import text_msgspec
from sanctum_bus.protocol.text import (
    decode_fields,
    decode_value,
    dump_json,
    encode_value,
    looks_like_json,
    strict,
)
from sanctum_bus.protocol.text_msgspec import encode_fields

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["", " ", "null", "NaN", "-0", "1e5", "1.", "-", "{", ' "', "\0", "\ufeff", "tru", "Infinity\n"]
    )
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


#: Parts of texts that are nearly JSON.
_PIECES = (
    *'"[]{}:,- 019.\n\ufeffx',
    "e5",
    "E+9",
    "true",
    "null",
    "NaN",
    "Infinity",
    '"a"',
    "\\ud800",
    "9" * 25,
    "1e999",
)


def same(left: Any, right: Any) -> bool:
    """Return whether two values are identical: types, NaN, signs of zero, order of maps."""
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("d", left) == struct.pack("d", right) or (math.isnan(left) and math.isnan(right))
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(map(same, left.values(), right.values()))
    return type(left) is type(right) and bool(left == right)


@given(values)
def test_every_value_reads_back_as_what_it_was(value: Any) -> None:
    """Decoding an encoded value returns the value."""
    assert same(decode_value(encode_value(value)), value)


@given(st.dictionaries(st.text(), values))
def test_every_section_reads_back_as_what_it_was(fields: dict[str, Any]) -> None:
    """Decoding the flat bytes of a hash returns its fields."""
    flat = [item if isinstance(item, bytes) else item.encode() for item in encode_fields(fields)]

    assert same(decode_fields(flat), fields)


def test_what_was_written_leaves_nothing_in_memory() -> None:
    """Encoding leaves no object alive besides its result, not even one that the collector cannot free."""
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        encode_fields({"name": number})
    gc.collect()

    assert len(gc.get_objects()) - before < 100


@given(values)
@example(6.103515625e-05)
def test_the_workers_way_of_writing_is_the_same_rule(value: Any) -> None:
    """The worker's writer differs from the text rule only in the spelling of numbers."""
    _, written = encode_fields({"name": value})
    text = written.decode() if isinstance(written, bytes) else written

    assert same(decode_value(text), value)
    assert _plain(text) == _plain(encode_value(value))


def _plain(text: str) -> str:
    return re.sub(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", lambda number: repr(float(number[0])), text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("FOSSILIZED", "FOSSILIZED"),
        (0.731, "0.731"),
        (True, "true"),
        (None, "null"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (-0.0, "-0.0"),
        (1e21, "1e+21"),
        (2**64 - 1, "18446744073709551615"),
        ("", ""),
        ("12", '"12"'),
        (" 12\n", '" 12\\n"'),
        ("1.", '"1."'),
        ("+1", "+1"),
        ("NaN", '"NaN"'),
        ("nan", "nan"),
        ("[x", '"[x"'),
        ("r0c1 culled (no_gain)", "r0c1 culled (no_gain)"),
        ("Grüße, 世界", "Grüße, 世界"),
        ("a\0b", '"a\\u0000b"'),
        ("\ufeffx", '"\ufeffx"'),
        ([1, -0.0, "a"], '[1,-0.0,"a"]'),
        ({"r0c0": None}, '{"r0c0":null}'),
    ],
)
def test_texts_are_what_people_expect(value: Any, text: str) -> None:
    """A string is bare unless it looks like JSON, has U+0000 or starts with U+FEFF; any other value is compact JSON."""
    assert encode_value(value) == text


@given(values)
def test_another_parser_of_json_reads_the_same(value: Any) -> None:
    """A text that looks like JSON is JSON: a second parser that accepts the tokens reads the same value."""
    text = encode_value(value)
    if looks_like_json(text) and not re.search("NaN|Infinity", text):
        assert same(_floats(msgspec.json.decode(text)), _floats(json.loads(text)))


def _floats(value: Any) -> Any:
    """Integers beyond 64 bits keep their digits, although some parsers read them as floats."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**1000 else math.inf
    if isinstance(value, list):
        return [_floats(item) for item in value]
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    return value


@given(st.text())
def test_foreign_text_never_fails(text: str) -> None:
    """Any text in a hash decodes to some value, and never raises."""
    decode_value(text)


@given(values)
def test_strict_json_is_taken_by_any_parser(value: Any) -> None:
    """With NaN and infinities as strings, a strict JSON parser reads every value."""
    text = json.dumps(strict(value), allow_nan=False)

    json.loads(text, parse_constant=pytest.fail)


@given(st.lists(st.sampled_from(_PIECES), max_size=8).map("".join) | st.text())
def test_a_text_is_read_by_one_rule(text: str) -> None:
    """A text that is JSON, with or without surrounding blanks, is read as JSON; any other text is its own value."""
    wanted: Any = text
    if looks_like_json(text):
        with suppress(ValueError):
            wanted = json.loads(text.strip(" \t\r\n"))

    assert same(decode_value(text), wanted)


def test_an_integer_that_the_encoder_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """If msgspec refuses an integer as too large, as some versions do, all fields are written as text."""

    def refuse(_: object) -> bytes:
        raise OverflowError

    monkeypatch.setattr(text_msgspec, "_print_lines", refuse)

    assert encode_fields({"large": 1 << 70, "text": "a"}) == ["large", str(1 << 70), "text", "a"]


def test_json_for_people() -> None:
    """JSON for people keeps NaN and infinities as tokens, and characters outside ASCII."""
    assert dump_json({"a": math.nan, "b": [math.inf, "\u00e4"]}) == '{"a": NaN, "b": [Infinity, "\u00e4"]}'
