"""The distribution of a number."""

from bisect import bisect_left
from collections.abc import Sequence

#: Upper bounds in seconds for durations from a tenth of a millisecond to some seconds.
SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

#: Upper bounds in seconds for latencies, which reach hours after an outage.
LATENCIES_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0, 3600.0)

#: Upper bounds for numbers of entries.
SIZES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)


class Histogram:
    """Counts of observed numbers by size, and their sum.

    Args:
        bounds: the upper bound of each bucket, ascending. One more bucket holds the greater numbers.

    Attributes:
        total: sum of the observed numbers.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a number. A negative one, from a clock that was set back, counts as 0."""
        value = max(0.0, value)
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return each upper bound with the count of numbers up to it; the last bound is `+Inf`."""
        found, so_far = [], 0
        names = [*map(str, self._bounds), "+Inf"]
        for name, count in zip(names, self._counts, strict=True):
            so_far += count
            found.append((name, float(so_far)))
        return found
