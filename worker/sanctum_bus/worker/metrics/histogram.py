"""How often a number was how large."""

from bisect import bisect_left
from collections.abc import Sequence

#: Upper bounds for what takes from a tenth of a millisecond to some seconds.
SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

#: Upper bounds for what may have waited for as long as a night.
LATENCIES_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0, 3600.0)

#: Upper bounds for how many there were.
SIZES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)


class Histogram:
    """Counts of numbers by size, and their sum.

    Args:
        bounds: the greatest number of each bucket, rising; one more bucket takes what is greater.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a number; a clock that went back makes it 0."""
        value = max(0.0, value)
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return for each bound, the last of them `+Inf`, how many numbers were not greater."""
        found, so_far = [], 0
        names = [*map(str, self._bounds), "+Inf"]
        for name, count in zip(names, self._counts, strict=True):
            so_far += count
            found.append((name, float(so_far)))
        return found
