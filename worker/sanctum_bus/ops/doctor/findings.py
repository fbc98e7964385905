"""What a check comes to."""

from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """How bad it is."""

    OK = 0
    NOTE = 1
    WARNING = 2
    FAULT = 3

    @property
    def word(self) -> str:
        """As it is printed."""
        return self.name.lower()


class Verdict(NamedTuple):
    """What one judgement comes to.

    Args:
        seen: what was found.
        remedy: what to do; empty where there is nothing to be done.
    """

    level: Level
    seen: str
    remedy: str = ""


class Finding(NamedTuple):
    """A verdict, and what it is about.

    Args:
        check: name of the check.
        where: the server or the run.
        level: how bad it is.
        seen: what was found.
        why: why it matters.
        remedy: what to do.
    """

    check: str
    where: str
    level: Level
    seen: str
    why: str
    remedy: str


def ok(seen: str) -> list[Verdict]:
    """Return that all is well."""
    return [Verdict(Level.OK, seen)]


def note(seen: str, remedy: str = "") -> Verdict:
    """Return what is good to know."""
    return Verdict(Level.NOTE, seen, remedy)


def warning(seen: str, remedy: str) -> Verdict:
    """Return what should be seen to."""
    return Verdict(Level.WARNING, seen, remedy)


def fault(seen: str, remedy: str) -> Verdict:
    """Return what must be seen to."""
    return Verdict(Level.FAULT, seen, remedy)
