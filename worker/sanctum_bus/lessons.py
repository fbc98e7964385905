"""What attempts at a fold that were thrown away have taught the next one.

A fold that meets what it must not meet is never mended where it stands. It starts over, from the checkpoint or from the
first entry, and knows better when it gets there again.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from sanctum_bus.accounts import Entry
from sanctum_bus.errors import StartOver
from sanctum_bus.state import Unsettled


class Gap(NamedTuple):
    """A hole in a producer's numbers: `seq` came after `last`."""

    producer: str
    last: int
    seq: int


class GapSuspected(StartOver):
    """A producer's numbers have a hole. The caller starts over; a hole that is still there is believed.

    Attributes:
        behind: further holes, in what had been delivered behind it.
    """

    def __init__(self, gap: Gap) -> None:
        super().__init__("gap", f"producer {gap.producer}: {gap.seq} after {gap.last}")
        self.gap = gap
        self.behind: list[Gap] = []


class Poison(NamedTuple):
    """An entry that is parked for what it did the last time; another one that came to bear its id is not.

    Args:
        can_be_read: it was its fold that failed; otherwise it is not even decoded.
    """

    why: str
    entry: Entry
    can_be_read: bool = False


class Spoiled(StartOver):
    """A fold failed half-way. The caller starts over, and parks the entry with this detail."""

    def __init__(self, entry_id: str, detail: str) -> None:
        super().__init__("spoiled", f"{entry_id}: {detail}")
        self.entry_id = entry_id
        self.poison = Poison(detail, {}, can_be_read=True)

    def blame(self, entry: Entry) -> None:
        """Say which entry it was."""
        self.poison = self.poison._replace(entry=entry)


@dataclass(slots=True)
class Lessons:
    """What is known of a run's entries beforehand.

    Args:
        poison: entries that spoiled a fold: they are parked.
        believed: holes that a start-over has shown again.
        believes_all: holes need no second look: what reads the entries skips none.
        at_once: something that was left for later had no place; nothing is left any more, so that the event is found.
    """

    poison: dict[str, Poison] = field(default_factory=dict)
    believed: set[Gap] = field(default_factory=set)
    believes_all: bool = False
    at_once: bool = False

    def believes(self, gap: Gap) -> bool:
        """Whether a hole is there: nothing was merely skipped."""
        return self.believes_all or gap in self.believed

    def learn(self, error: BaseException) -> bool:
        """Note what the error shows that ended an attempt.

        Returns:
            Whether the next attempt knows better. If not, starting over is no help by itself.
        """
        match error:
            case Spoiled():
                self.poison[error.entry_id] = error.poison
            case GapSuspected():
                self.believed.update([error.gap, *error.behind])
            case Unsettled() if not self.at_once:
                self.at_once = True
            case _:
                return False
        return True

    def clear(self) -> None:
        """Forget everything: what it was about is committed."""
        self.poison.clear()
        self.believed.clear()
        self.at_once = False
