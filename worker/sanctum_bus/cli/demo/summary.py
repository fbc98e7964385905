"""The summary of the demo: what was published, what was folded, and whether they agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rich.text import Text

from sanctum_bus.cli.coverage import compared
from sanctum_bus.cli.demo.play import RUN, DemoPublisher
from sanctum_bus.cli.replay import losses
from sanctum_bus.protocol.coverage import TypeCoverage
from sanctum_bus.publisher import PublisherStats
from sanctum_bus.reader import LogLine, Reader, Snapshot
from sanctum_bus.views.build import build
from sanctum_bus.views.format import count, decimals, plain_number
from sanctum_bus.views.tui.panels import log_line

#: Log lines to show.
_LAST_LINES = 5


@dataclass(frozen=True)
class Summary:
    """The published events, a reader's view of them, and the elapsed time.

    Args:
        coverage: the captured fields, compared with the raw lines.
        tail: the newest lines of the log.
    """

    stats: PublisherStats
    snapshot: Snapshot
    coverage: Sequence[TypeCoverage]
    tail: Sequence[LogLine]
    seconds: float

    @classmethod
    def of(cls, reader: Reader, feeding: DemoPublisher, seconds: float) -> Self:
        """Return the summary of a completed demo."""
        stats = feeding.check()
        if stats is None:
            raise ValueError("the demo is not complete")
        return cls(
            stats,
            reader.snapshot(RUN),
            compared(reader.coverage(RUN), feeding.raw),
            reader.log(RUN, newest=_LAST_LINES),
            seconds,
        )

    @property
    def lost(self) -> int:
        """Return the number of lost events."""
        return sum(self.snapshot.lost.values())

    @property
    def gap(self) -> int:
        """Return the number of emitted fields that were not captured."""
        return sum(one.gap for one in self.coverage)

    def wrong(self) -> str:
        """Return the differences as text; empty if there is none."""
        stats, seen = self.stats, self.snapshot
        found = [losses(stats)] if losses(stats) else []
        if seen.events != stats.emitted:
            found.append(f"{stats.emitted:,} events published and {seen.events:,} folded")
        for name, amount in (("parked", seen.parked), ("lost", self.lost), ("fields not captured", self.gap)):
            if amount:
                found.append(f"{amount:,} {name}")
        return ", ".join(found)

    def line(self) -> Text:
        """Return the summary in one line."""
        return Text(
            f"{count(self.stats.sent)} events published, {count(self.snapshot.events)} folded, "
            f"{count(self.snapshot.parked)} parked, {count(self.lost)} lost, coverage gap {count(self.gap)}, "
            f"{self.seconds:.1f} s"
        )

    def lines(self) -> list[Text]:
        """Return the whole summary."""
        seen = self.snapshot
        emitted = sum(one.emitted for one in self.coverage)
        return [
            Text(
                f"run {RUN}: {count(self.stats.sent)} events published, {count(seen.events)} folded in {self.seconds:.1f} s"
            ),
            Text(
                f"version {seen.version}, parked {count(seen.parked)}, lost {count(self.lost)}, "
                f"duplicates {count(seen.duplicates)}"
            ),
            Text(
                f"coverage: {count(len(self.coverage))} event types, {count(emitted)} fields emitted, "
                f"{count(emitted - self.gap)} captured, gap {count(self.gap)}"
            ),
            Text(f"best episode: {self._best()}"),
            Text(f"seeds: {self._seeds()}"),
            Text("last lines of the seed event log:"),
            *(Text("  ").append_text(log_line(line)) for line in self.tail),
        ]

    def _best(self) -> str:
        for first in build(self.snapshot).arms[0].best[:1]:
            where = f"env {plain_number(first.env_id)}, episode {plain_number(first.episode)}"
            return f"accuracy {decimals(first.peak_accuracy)} ({where})"
        return "none"

    def _seeds(self) -> str:
        found = build(self.snapshot).blueprints
        sums = (
            (sum(one.germinated or 0 for one in found), "germinated"),
            (sum(one.fossilized or 0 for one in found), "fossilized"),
            (sum(one.culled or 0 for one in found), "culled"),
        )
        return ", ".join(f"{count(amount)} {name}" for amount, name in sums)
