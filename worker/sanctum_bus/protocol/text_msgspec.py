"""Fields -> names and texts in turn, as a hash or a stream entry takes them, by the text rule of `snapshot`.

The worker's way of writing: msgspec prints numbers and lists of them ten times as fast as the standard library. It
prints NaN and the infinities as null, so whatever comes out with a null in it and does not read back as what it was is
printed by the rule's own means.
"""

from collections.abc import Mapping
from itertools import chain

import msgspec

from sanctum_bus.protocol.entry import Value
from sanctum_bus.protocol.text import encode_value, is_bare

_print_lines = msgspec.json.Encoder().encode_lines
_read = msgspec.json.Decoder().decode


def encode_fields(fields: Mapping[str, Value]) -> list[str | bytes]:
    """Return names and texts in turn; texts are UTF-8 where they are bytes."""
    # A list: msgspec never lets go of an iterator that it made itself.
    values = [*fields.values()]
    try:
        printed = _print_lines(values)
    except OverflowError:
        return [*chain.from_iterable((name, encode_value(value)) for name, value in fields.items())]
    flat: list[str | bytes] = [b""] * (2 * len(values))
    flat[::2] = fields
    # No line break is printed but behind each value.
    flat[1::2] = texts = printed.split(b"\n")[:-1]
    has_null = b"null" in printed
    for place, value in enumerate(values):
        if type(value) is str:
            flat[2 * place + 1] = value if is_bare(value) else encode_value(value)
        elif (
            has_null and value is not None and b"null" in texts[place] and not _is_exact(texts[place], value)
        ):
            flat[2 * place + 1] = encode_value(value)
    return flat


def _is_exact(printed: bytes, value: Value) -> bool:
    """Whether every null that was printed stands for one, and none for a NaN or an infinity."""
    if type(value) is dict and printed.count(b"null") == [*value.values()].count(None):
        return True
    return bool(_read(printed) == value)
