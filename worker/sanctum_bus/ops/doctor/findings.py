"""The result of a check."""

from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """Severity of a finding."""

    OK = 0
    NOTE = 1
    WARNING = 2
    FAULT = 3

    @property
    def word(self) -> str:
        """Return the name to print."""
        return self.name.lower()


class Verdict(NamedTuple):
    """The result of one judgment.

    Args:
        seen: what was found.
        remedy: what to do; empty if nothing is to be done.
    """

    level: Level
    seen: str
    remedy: str = ""


class Finding(NamedTuple):
    """A verdict with its subject.

    Args:
        check: name of the check.
        where: the server or the run.
        level: the severity.
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
    """Return a verdict of level OK."""
    return [Verdict(Level.OK, seen)]


def note(seen: str, remedy: str = "") -> Verdict:
    """Return a verdict that is good to know."""
    return Verdict(Level.NOTE, seen, remedy)


def warning(seen: str, remedy: str) -> Verdict:
    """Return a verdict that needs attention soon."""
    return Verdict(Level.WARNING, seen, remedy)


def fault(seen: str, remedy: str) -> Verdict:
    """Return a verdict that needs attention now."""
    return Verdict(Level.FAULT, seen, remedy)
