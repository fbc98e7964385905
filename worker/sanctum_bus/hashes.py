"""Fields -> names and texts in turn, as a hash or a stream entry takes them, by the text rule of `snapshot`.

The worker's way of writing: msgspec prints numbers and lists of them ten times as fast as the standard library. It
prints NaN and the infinities as null, so whatever comes out with a null in it and does not read back as what it was is
printed by the rule's own means.
"""

from collections.abc import Mapping
from itertools import chain

import msgspec

from sanctum_bus.snapshot import encode_value, is_bare
from sanctum_bus.wire.values import Value

_print_lines = msgspec.json.Encoder().encode_lines
_read = msgspec.json.Decoder().decode


def encode_fields(fields: Mapping[str, Value]) -> list[str | bytes]:
    """Return names and texts in turn; texts are UTF-8 where they are bytes."""
    try:
        # A list: msgspec never lets go of an iterator that it made itself.
        printed = _print_lines([*fields.values()])
    except OverflowError:
        return [*chain.from_iterable((name, encode_value(value)) for name, value in fields.items())]
    flat: list[str | bytes] = [b""] * (2 * len(fields))
    flat[::2] = fields
    # No line break is printed but behind each value.
    flat[1::2] = printed.split(b"\n")[:-1]
    has_null = b"null" in printed
    for place, value in zip(range(1, len(flat), 2), fields.values(), strict=True):
        if type(value) is str:
            flat[place] = value if is_bare(value) else encode_value(value)
        elif has_null and value is not None and b"null" in flat[place] and _read(flat[place]) != value:
            flat[place] = encode_value(value)
    return flat
