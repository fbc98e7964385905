"""Results of a measurement: figures with their samples, as Python objects and as JSON."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Series:
    """Samples of one quantity, in measured order."""

    label: str
    unit: str
    samples: Sequence[float]

    @property
    def median(self) -> float:
        """Return the median of the samples."""
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        name: unique name with underscores.
        title: description for the table.
        unit: `x` for a ratio within one run, else the unit of the absolute value.
        samples: one sample per pair or repetition.
        goal: target for the median; None if there is no goal.
        better: whether higher or lower values are better.
        parts: measured values from which the ratio was computed.
        note: condition of the measurement.
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
        """Return the median of the samples."""
        return statistics.median(self.samples)

    @property
    def is_ratio(self) -> bool:
        """Whether the figure is a ratio, which can be compared between machines."""
        return self.unit == "x"

    @property
    def is_met(self) -> bool | None:
        """Whether the median reaches the goal; None without a goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.better == "higher" else self.median <= self.goal


@dataclass(frozen=True)
class Stage:
    """One row of the profile.

    Args:
        name: name of the stage.
        process: the process that spends the time: worker or server.
        micros: microseconds per event.
    """

    name: str
    process: str
    micros: float


@dataclass(frozen=True)
class Results:
    """All results of one benchmark run.

    Args:
        facts: machine, server, versions and load, by name.
        skipped: figures that were not measured, and the reason.
    """

    facts: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    profile: list[Stage] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the results as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load(path: Path) -> Results:
    """Return saved results."""
    saved: dict[str, Any] = json.loads(path.read_text())
    figures = [
        Figure(**one | {"parts": tuple(Series(**part) for part in one["parts"])}) for one in saved["figures"]
    ]
    profile = [Stage(**one) for one in saved["profile"]]
    return Results(saved["facts"], figures, profile, saved["skipped"])
