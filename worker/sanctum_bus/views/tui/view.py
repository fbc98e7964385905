"""What the view is made from: one consistent snapshot, the tail of its log, and which part of it is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sanctum_bus.protocol.entry import Value
from sanctum_bus.views.model import Run


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the seed event log, as far as the view shows it."""

    type: str
    at: Value
    env_id: Value
    episode: Value
    message: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything that one picture shows.

    Args:
        version: id of the last entry folded.
        age_s: seconds since the run's last event, None where nobody knows.
        behind_s: seconds for which there have been entries that nobody folded.
        lines: the log's newest lines, the newest last.
        notices: what the person should know about the data, one phrase each.
        arm: the arm of an A/B run that is looked at.
        page: which page of environments, from 0, where they do not all fit.
    """

    run_id: str
    run: Run
    version: str = ""
    events: int = 0
    parked: int = 0
    lost: int = 0
    duplicates: int = 0
    age_s: float | None = None
    behind_s: float = 0.0
    lines: Sequence[Line] = ()
    notices: tuple[str, ...] = field(default=())
    arm: str = ""
    page: int = 0
