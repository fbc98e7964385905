"""The text rule: values as text in hashes and streams, lossless in both directions.

A value that is not a string is written as JSON. A string is written bare, unless it looks like JSON, contains
U+0000 or starts with U+FEFF: then it is written as a JSON string. So `HGET ... stage` prints `FOSSILIZED`,
`HGET ... grad_norm` prints `0.731`, and both are read back exactly. NaN and the infinities are the tokens
`NaN`, `Infinity` and `-Infinity`.
"""

import json
import re
from collections.abc import Iterable
from sys import intern

from sanctum_bus.protocol.entry import Value

_BLANKS = " \t\r\n"

_LOOKS_LIKE_JSON = re.compile(
    r'["\[{]|(?:true|false|null|NaN|-?Infinity|-?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?)\Z'
)

#: First characters of every text that needs a closer check; any other text is bare.
_SUSPECT = frozenset('"[{tfnNI-0123456789\ufeff' + _BLANKS)

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

#: Returns the value at the start of a text, and the index of its end.
_read = json.JSONDecoder().raw_decode

_CONSTANTS = {None: "null", True: "true", False: "false"}


def looks_like_json(text: str) -> bool:
    """Return whether a reader decodes the text as JSON."""
    return _LOOKS_LIKE_JSON.match(text.strip(_BLANKS)) is not None


def encode_value(value: Value) -> str:
    """Return the text of a value."""
    kind = type(value)
    if kind is str:
        return value if is_bare(value) else _dumps(value)
    if kind is float:
        return float.__repr__(value) if value - value == 0 else _dumps(value)
    if kind is int:
        return int.__repr__(value)
    if value is None or kind is bool:
        return _CONSTANTS[value]
    return _dumps(value)


def is_bare(text: str) -> bool:
    """Return whether a string is written without quotes."""
    if text[:1] not in _SUSPECT:
        return "\0" not in text
    return not (text[0] == "\ufeff" or "\0" in text or looks_like_json(text))


def decode_value(text: str) -> Value:
    """Return the value of a text.

    A text that looks like JSON but is not valid JSON is its own value; Sanctum never writes one.
    """
    if text[:1] not in _SUSPECT:
        return text
    try:
        value, end = _read(text)
    except ValueError:
        return _decode_odd(text)
    return value if end == len(text) else _decode_odd(text)


def _decode_odd(text: str) -> Value:
    if not looks_like_json(text):
        return text
    try:
        return json.loads(text.strip(_BLANKS))
    except ValueError:
        return text


def decode_fields(flat: Iterable[bytes]) -> dict[str, Value]:
    """Return the fields of a hash or a stream entry from names and texts alternating, as HGETALL returns them."""
    items = iter(flat)
    # Hundreds of sections have the same names; interning keeps one copy of each.
    return {
        intern(name.decode("utf-8", "replace")): decode_value(raw.decode("utf-8", "replace"))
        for name, raw in zip(items, items, strict=True)
    }


def dump_json(value: Value, *, indent: int | None = None) -> str:
    """Return JSON text for people and tools, with NaN and infinities as tokens."""
    return json.dumps(value, ensure_ascii=False, indent=indent, sort_keys=False)


def strict(value: Value) -> Value:
    """Return the value with NaN and the infinities as strings, so that any JSON parser accepts it."""
    if isinstance(value, float) and value - value != 0:
        return _dumps(value)
    if isinstance(value, list):
        return [strict(item) for item in value]
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    return value
