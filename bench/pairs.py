"""Paired measurements on one server: A, B, A, B, ..., so that both see the same conditions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.results import Series


@dataclass(frozen=True)
class Pairs:
    """Samples of two subjects, pair by pair."""

    a: list[float]
    b: list[float]

    @property
    def ratios(self) -> list[float]:
        """Return A divided by B, for each pair."""
        return [a / b for a, b in zip(self.a, self.b, strict=True)]

    def series(self, a: str, b: str, unit: str) -> tuple[Series, Series]:
        """Return both series with their labels."""
        return Series(a, unit, self.a), Series(b, unit, self.b)


def interleaved(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure each subject in turn, for a number of rounds; return the samples by name."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            samples[name].append(measure())
    return samples


def paired(rounds: int, a: Callable[[], float], b: Callable[[], float]) -> Pairs:
    """Measure A and B in turn, for a number of rounds."""
    samples = interleaved(rounds, {"a": a, "b": b})
    return Pairs(samples["a"], samples["b"])
