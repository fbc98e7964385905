"""How much is measured: a few seconds of each, as much as says something, or all there is."""

from dataclasses import dataclass, field

from bench.server import Server


@dataclass(frozen=True)
class Size:
    """How much.

    Args:
        name: `quick`, `normal` or `long`.
        pairs: pairs of each comparison.
        events: events of one drain.
        repeats: repetitions of what is not compared.
        seconds: how long a stream of events is kept up.
        stream: events of the long stream that is trimmed while it is drained.
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
    """What every measurement is given.

    Args:
        server: where to measure.
        size: how much.
        skipped: what could not be measured, and why; measurements add to it.
    """

    server: Server
    size: Size
    skipped: dict[str, str] = field(default_factory=dict)

    def share(self, part: float, least: int = 1_000) -> int:
        """Return a part of a drain's events, for those who take long."""
        return max(least, int(self.size.events * part))
