"""Whether a payload can be packed as it is: the short way, which most events take."""

from collections.abc import Iterable
from typing import Any

from sanctum_bus.protocol.entry import MAX_DEPTH, MAX_ENTRY_BYTES

#: Elements of all containers of one event together. Each takes a byte at least, so what has more is over the limit of
#: an entry anyway; and a list that holds the same list twice, thirty levels deep, must not stop the training.
MAX_ELEMENTS = MAX_ENTRY_BYTES

#: Types that go as they are.
SCALARS = frozenset({str, int, float, bool, type(None)})


def is_plain(data: Any) -> bool:
    """Whether a payload can be packed as it is: text keys, and nothing but plain values, maps, lists and tuples.

    Most are, and to find out costs less than to convert. Texts and integers are not looked into: the few that have no
    place on the wire are refused when they are packed.
    """
    try:
        return (
            type(data) is dict
            and "".join(data) is not None
            and _elements_left(data, data.values(), 0, MAX_ELEMENTS) >= 0
        )
    except (TypeError, RuntimeError):
        # A key that is no text; or another thread wrote to a map just now.
        return False


def _elements_left(container: Any, values: Iterable[Any], depth: int, left: int) -> int:
    """Return how many more elements there may be after those of a container; less than none if it is not plain."""
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
