"""The final promises: every run is the plain fold of its stream, and every acknowledged event is in it."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.protocol.entry import Entry
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.text import decode_fields
from tests.support.worker_rig import Side, Texts, differences
from tests.system.chaos.training import Report

#: Stands for a missing value.
_NOTHING = "nothing"

#: Characters of a difference that are shown.
_SHOWN_CHARS = 600


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one run, or the sum over all runs.

    Args:
        entries: entries of the stream.
        events, parked, duplicates: counts of the checkpoint.
        emitted, acknowledged: counts of its producers.
        arrived: numbers of its producers that the stream holds, each once.
        lost: acknowledged events that the stream does not hold.
        dropped: events that the producers dropped or left behind.
        twice: events that were folded although their number had been folded before.
        problems: every broken promise.
    """

    entries: int = 0
    events: int = 0
    parked: int = 0
    duplicates: int = 0
    emitted: int = 0
    acknowledged: int = 0
    arrived: int = 0
    lost: int = 0
    dropped: int = 0
    twice: int = 0
    problems: tuple[str, ...] = ()

    def __add__(self, other: "Verdict") -> "Verdict":
        names = self.__dataclass_fields__
        return Verdict(*[getattr(self, name) + getattr(other, name) for name in names])


def judge(side: Side, reports: list[Report]) -> Verdict:
    """Compare a run with the fold of what its stream holds, and with what its producers report."""
    run, stream = side.keys.run_id, side.stream()
    known: dict[str, Any] = decode_fields(_flat(side))
    numbers = {report.producer: _Numbers() for report in reports} | _numbers(stream)
    arrived = sum(len(one.events) for one in numbers.values())
    twice = max(0, int(known["events"]) + int(known["parked"]) - arrived)
    problems = [
        *_not_the_fold(side, stream, known),
        *_misnumbered(numbers, reports),
        *_not_adding_up(known, numbers, len(stream)),
    ]
    if twice:
        problems.append(f"{twice:,} events were folded twice")
    return Verdict(
        entries=len(stream),
        events=int(known["events"]),
        parked=int(known["parked"]),
        duplicates=int(known["duplicates"]),
        emitted=sum(report.emitted for report in reports),
        acknowledged=sum(report.sent for report in reports),
        arrived=arrived,
        lost=sum(max(0, report.sent - len(numbers[report.producer].events)) for report in reports),
        dropped=sum(report.dropped + report.buffered for report in reports),
        twice=twice,
        problems=tuple(f"{run}: {problem}" for problem in problems),
    )


def _not_the_fold(side: Side, stream: Sequence[tuple[str, Entry]], known: dict[str, Any]) -> list[str]:
    expected = fold_entries(stream)
    counters = expected.counters
    problems = [
        f"{name}{_apart(found, wanted)}" for name, (found, wanted) in differences(side, expected).items()
    ]
    problems += [
        f"the checkpoint's {name}{_apart(known.get(name), getattr(counters, name))}"
        for name in ("lost", "lost_ranges", "producers", "closed")
        if known.get(name) != getattr(counters, name)
    ]
    added = cast("Any", side.redis.xinfo_stream(side.keys.events))["entries-added"]
    if added != len(stream):
        problems.append(f"the stream was trimmed: {added:,} entries were added, {len(stream):,} are left")
    return problems


def _not_adding_up(known: dict[str, Any], numbers: "dict[str, _Numbers]", entries: int) -> list[str]:
    """Compare the counts with the producers' numbers: each is folded, parked, a duplicate, an end-of-stream marker, or lost."""
    problems = []
    holes = sum(one.holes for one in numbers.values())
    if sum(known["lost"].values()) != holes:
        problems.append(f"lost is counted as {known['lost']}, but {holes:,} numbers are missing")
    counted = sum(int(known[name]) for name in ("events", "parked", "duplicates"))
    goodbyes = sum(len(one.goodbyes) for one in numbers.values())
    if counted + goodbyes != entries:
        problems.append(f"{counted:,} entries are counted and {goodbyes:,} are goodbyes, of {entries:,}")
    return problems


def side_of(client: Any, run: str) -> Side:
    """A run as any tool sees it."""
    return Side(client, RunKeys(run))


@dataclass(slots=True)
class _Numbers:
    """The numbers of one producer that a stream holds."""

    events: set[int] = field(default_factory=set)
    goodbyes: set[int] = field(default_factory=set)
    greatest: int = 0
    late: int = 0

    def note(self, seq: int, *, is_goodbye: bool) -> None:
        mine = self.goodbyes if is_goodbye else self.events
        self.late += seq < self.greatest and seq not in mine
        mine.add(seq)
        self.greatest = max(self.greatest, seq)

    @property
    def holes(self) -> int:
        return self.greatest - len(self.events) - len(self.goodbyes)


def _numbers(stream: Sequence[tuple[str, Entry]]) -> dict[str, _Numbers]:
    found: dict[str, _Numbers] = {}
    for _, entry in stream:
        one = found.setdefault(entry[b"producer"].decode(), _Numbers())
        one.note(int(entry[b"seq"]), is_goodbye=entry[b"type"] == b"_closed")
    return found


def _misnumbered(numbers: dict[str, _Numbers], reports: list[Report]) -> list[str]:
    """Return numbers that arrived too late to be folded, that were never emitted, or that have no producer."""
    emitted = Counter({report.producer: report.emitted for report in reports})
    problems = []
    for producer, one in numbers.items():
        if one.late:
            problems.append(f"{one.late:,} numbers of {producer} come first after greater ones")
        if len(one.events) > emitted[producer]:
            problems.append(f"{producer} emitted {emitted[producer]:,}, and {len(one.events):,} arrived")
    return problems


def _flat(side: Side) -> list[bytes]:
    found = cast("Texts", side.redis.hgetall(side.keys.checkpoint))
    return [item for pair in found.items() for item in pair]


def _apart(found: Any, wanted: Any) -> str:
    """The first place in which two values are not the same: the way to it, what is there, and what should be."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = (key for key in [*wanted, *found] if found.get(key, _NOTHING) != wanted.get(key, _NOTHING))
        key = next(keys)
        return f"[{key!r}]{_apart(found.get(key, _NOTHING), wanted.get(key, _NOTHING))}"
    if isinstance(found, list) and isinstance(wanted, list):
        pairs = itertools.zip_longest(found, wanted, fillvalue=_NOTHING)
        place, (one, other) = next((at, pair) for at, pair in enumerate(pairs) if pair[0] != pair[1])
        return f"[{place}]{_apart(one, other)}"
    return f" is {_short(found)}, not {_short(wanted)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text):,} characters)"
