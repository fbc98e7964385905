"""A fast check whether a payload can be packed without conversion; most can."""

from collections.abc import Iterable
from typing import Any

from sanctum_bus.protocol.entry import MAX_DEPTH, MAX_ENTRY_BYTES

#: Elements of all containers of one event together. Each takes at least a byte, so more would exceed the
#: limit of an entry. The bound also stops a list that holds the same list twice, thirty levels deep.
MAX_ELEMENTS = MAX_ENTRY_BYTES

#: Types that need no conversion.
SCALARS = frozenset({str, int, float, bool, type(None)})


def is_plain(data: Any) -> bool:
    """Return whether a payload can be packed unchanged: text keys, and only plain values, maps, lists and tuples.

    Most payloads can, and this check is faster than a conversion. It does not look into texts and integers:
    packing refuses the few bad ones.
    """
    try:
        return (
            type(data) is dict
            and "".join(data) is not None
            and _elements_left(data, data.values(), 0, MAX_ELEMENTS) >= 0
        )
    except (TypeError, RuntimeError):
        # A key is not text; or another thread wrote to a map during the check.
        return False


def _elements_left(container: Any, values: Iterable[Any], depth: int, left: int) -> int:
    """Return how many elements may follow those of a container; negative if it is not plain."""
    left -= len(container)
    if left < 0 or depth >= MAX_DEPTH:
        return -1
    if SCALARS.issuperset(map(type, values)):
        return left
    for value in values:
        kind = type(value)
        if kind in SCALARS:
            continue
        if kind is dict:
            "".join(value)
            left = _elements_left(value, value.values(), depth + 1, left)
        elif kind is list or kind is tuple:
            left = _elements_left(value, value, depth + 1, left)
        else:
            return -1
        if left < 0:
            return -1
    return left
