"""Which mishap befalls whom and when: drawn from a seed, so that a run can be had again."""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import NamedTuple

#: Brings a mishap about, and returns what ends it.
Begin = Callable[[Random], Callable[[], object]]


class Kind(NamedTuple):
    """One kind of mishap.

    Args:
        begin: brings it about.
        least_s, most_s: how long it lasts.
    """

    begin: Begin
    least_s: float = 0.0
    most_s: float = 0.0


class Mishap(NamedTuple):
    """One mishap of a schedule, in seconds from its beginning."""

    at_s: float
    kind: str
    length_s: float


def schedule(chance: Random, kinds: Mapping[str, Kind], seconds: float, count: int) -> list[Mishap]:
    """Draw mishaps, evenly apart but for some jitter; every kind has its turn before any has its next.

    Args:
        chance: where they are drawn from.
        kinds: what there is.
        seconds: within which they happen; the first and the last moments stay calm.
        count: how many; never fewer than there are kinds.
    """
    names = _rounds(chance, kinds, max(count, len(kinds)))
    apart = seconds * 0.85 / len(names)
    return [
        Mishap(
            seconds * 0.05 + apart * (place + chance.random() * 0.8),
            name,
            chance.uniform(kinds[name].least_s, kinds[name].most_s),
        )
        for place, name in enumerate(names)
    ]


def _rounds(chance: Random, kinds: Iterable[str], count: int) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        names += chance.sample(sorted(kinds), len(list(kinds)))
    return names[:count]
