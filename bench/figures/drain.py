"""Drain rate of one run, compared with a no-op drain that only reads and acknowledges."""

from bench.drains import standard_drain
from bench.pairs import paired
from bench.plan import Bench
from bench.results import Figure


def measure(bench: Bench) -> list[Figure]:
    """Return the ratio."""
    with standard_drain(bench, bench.size.events) as drain:
        pairs = paired(bench.size.pairs, drain.sanctum, lambda: drain.other("noop"))
    return [
        Figure(
            name="drain",
            title="drain of one run / no-op drain",
            unit="x",
            samples=pairs.ratios,
            goal=0.60,
            parts=pairs.series("Sanctum", "no-op drain", "events/s"),
            note="the no-op drain reads and acknowledges 1,000 entries at a time and discards them",
        )
    ]
