"""What came of a measurement: figures with their samples, as Python and as JSON."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Series:
    """Samples of one quantity, in the order in which they were taken."""

    label: str
    unit: str
    samples: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        name: unique; words with underscores.
        title: a sentence's worth, for people.
        unit: `x` for a ratio within one run, else of the absolute value.
        samples: one for each pair or repetition.
        goal: what the median should reach, None where it is only reported.
        better: whether higher or lower values are better.
        parts: what a ratio was made of.
        note: what one must know to read it.
    """

    name: str
    title: str
    unit: str
    samples: Sequence[float]
    goal: float | None = None
    better: Better = "higher"
    parts: Sequence[Series] = ()
    note: str = ""

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def is_ratio(self) -> bool:
        """Whether it compares two things on the same machine, and so may be compared with other machines."""
        return self.unit == "x"

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the goal; None where there is none."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.better == "higher" else self.median <= self.goal


@dataclass(frozen=True)
class Stage:
    """One row of the profile.

    Args:
        name: the stage.
        process: who spends the time: the worker or the server.
        micros: microseconds of it for each event.
    """

    name: str
    process: str
    micros: float


@dataclass(frozen=True)
class Results:
    """All that one run of the benchmarks found.

    Args:
        facts: machine, server, versions and load, by name.
        skipped: what was not measured, and why.
    """

    facts: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    profile: list[Stage] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load(path: Path) -> Results:
    """Return what was saved."""
    saved: dict[str, Any] = json.loads(path.read_text())
    figures = [
        Figure(**one | {"parts": tuple(Series(**part) for part in one["parts"])}) for one in saved["figures"]
    ]
    profile = [Stage(**one) for one in saved["profile"]]
    return Results(saved["facts"], figures, profile, saved["skipped"])
