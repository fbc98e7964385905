"""Sizes of a benchmark run: quick, normal and long."""

from dataclasses import dataclass, field

from bench.server import Server


@dataclass(frozen=True)
class Size:
    """Size of a benchmark run.

    Args:
        name: `quick`, `normal` or `long`.
        pairs: pairs per comparison.
        events: events per drain.
        repeats: repetitions of figures without a comparison.
        seconds: duration of a steady stream of events.
        stream: events of the long stream, which is trimmed while it is drained.
    """

    name: str
    pairs: int
    events: int
    repeats: int
    seconds: float
    stream: int


QUICK = Size("quick", 3, 10_000, 3, 1.0, 60_000)
NORMAL = Size("normal", 5, 300_000, 5, 10.0, 1_000_000)
LONG = Size("long", 7, 300_000, 7, 20.0, 10_000_000)


@dataclass(frozen=True)
class Bench:
    """Context of a measurement.

    Args:
        server: the server to measure on.
        size: the size of the run.
        skipped: skipped figures and the reason; measurements add entries.
    """

    server: Server
    size: Size
    skipped: dict[str, str] = field(default_factory=dict)

    def share(self, part: float, least: int = 1_000) -> int:
        """Return a part of the events of a drain, for slow subjects."""
        return max(least, int(self.size.events * part))
