"""Fields -> names and texts in turn, as a hash or a stream entry takes them, by the text rule of `snapshot`.

The worker's way of writing: msgspec prints numbers and lists of them ten times as fast as the standard library. It
prints NaN and the infinities as null, so whatever comes out with a null in it is printed by the rule's own means.
"""

from collections.abc import Mapping

import msgspec

from sanctum_bus.snapshot import encode_value
from sanctum_bus.wire.values import Value

_print = msgspec.json.Encoder().encode


def encode_fields(fields: Mapping[str, Value]) -> list[str]:
    """Return names and texts in turn."""
    flat: list[str] = []
    for name, value in fields.items():
        flat.append(name)
        flat.append(encode_value(value) if type(value) is str else _text(value))
    return flat


def _text(value: Value) -> str:
    try:
        text = _print(value)
    except OverflowError:
        return encode_value(value)
    return encode_value(value) if b"null" in text else text.decode()
