"""The text rule of `protocol.text`, written with msgspec: for the worker, which writes most.

msgspec prints numbers and lists of numbers ten times as fast as the standard library, but prints NaN and the
infinities as null. So a text with a null that does not read back as its value is printed by `protocol.text`
instead.
"""

from collections.abc import Mapping
from itertools import chain

import msgspec

from sanctum_bus.protocol.entry import Value
from sanctum_bus.protocol.text import encode_value, is_bare

_print_lines = msgspec.json.Encoder().encode_lines
_read = msgspec.json.Decoder().decode


def encode_fields(fields: Mapping[str, Value]) -> list[str | bytes]:
    """Return names and texts alternating; texts in bytes are UTF-8."""
    # A list: msgspec never releases an iterator that it creates from anything else (0.22).
    values = [*fields.values()]
    try:
        printed = _print_lines(values)
    except OverflowError:
        return [*chain.from_iterable((name, encode_value(value)) for name, value in fields.items())]
    flat: list[str | bytes] = [b""] * (2 * len(values))
    flat[::2] = fields
    # Each value ends with the only line break of its text.
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
    """Return whether every printed null stands for None, and none for NaN or an infinity."""
    if type(value) is dict and printed.count(b"null") == [*value.values()].count(None):
        return True
    return bool(_read(printed) == value)
