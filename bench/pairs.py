"""Paired runs: A, B, A, B, ... in one go on one server, so that both see the same machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.results import Series


@dataclass(frozen=True)
class Pairs:
    """Samples of two that are compared, pair by pair."""

    a: list[float]
    b: list[float]

    @property
    def ratios(self) -> list[float]:
        """A over B, for each pair."""
        return [a / b for a, b in zip(self.a, self.b, strict=True)]

    def series(self, a: str, b: str, unit: str) -> tuple[Series, Series]:
        """Both under their names."""
        return Series(a, unit, self.a), Series(b, unit, self.b)


def interleaved(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each in turn, and all again, so many times; return the samples by name."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            samples[name].append(measure())
    return samples


def paired(rounds: int, a: Callable[[], float], b: Callable[[], float]) -> Pairs:
    """Measure A and B in turn, so many times."""
    samples = interleaved(rounds, {"a": a, "b": b})
    return Pairs(samples["a"], samples["b"])
