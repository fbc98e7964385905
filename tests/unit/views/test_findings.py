"""Findings about the data of a view: torn, not folded, behind, lost events, dead letters."""

from typing import Any

import pytest

from sanctum_bus.reader import Snapshot
from sanctum_bus.views import derived
from sanctum_bus.views.build import build

#: A snapshot without any finding.
GOOD = Snapshot("r", version="5-0", generation=1, last_id="5-0")


@pytest.mark.parametrize(
    ("snapshot", "kind", "words"),
    [
        (Snapshot("r", version="torn", generation=1), "torn", "a commit stopped half-way"),
        (Snapshot("r", last_id="5-0"), "not_folded", "start a worker"),
        (
            Snapshot("r", version="1000-0", generation=1, last_id="5000-0", server_time_s=5.0),
            "behind",
            "4.0 s behind",
        ),
        (
            Snapshot("r", version="5-0", generation=1, last_id="5-0", lost={"gap": 3, "dropped": 1000}),
            "lost",
            "1,003 events lost",
        ),
        (
            Snapshot("r", version="5-0", generation=1, last_id="5-0", parked=2),
            "dead_letters",
            "2 dead letters",
        ),
    ],
)
def test_each_kind(snapshot: Snapshot, kind: str, words: str) -> None:
    """A view reports each way in which its snapshot is not what it seems, once."""
    (finding,) = build(snapshot).findings

    assert finding.kind == kind
    assert words.replace("a commit", "the last commit") in finding.text


def test_nothing_to_report() -> None:
    """A complete and current snapshot has no finding; neither has a recording that was folded without a server."""
    assert build(GOOD).findings == ()
    assert build(Snapshot("file", parked=3), recorded=True).findings == ()


def test_the_most_severe_first() -> None:
    """Findings come in the order of their severity."""
    snapshot = Snapshot("r", version="torn", generation=1, last_id="5-0", lost={"gap": 1}, parked=1)

    assert [one.kind for one in build(snapshot).findings] == ["torn", "lost", "dead_letters"]


@pytest.mark.parametrize(
    ("version", "last_id", "now", "late"),
    [
        ("1000-0", "1000-0", 9.0, 0.0),
        ("1000-0", "5000-0", 5.0, 4.0),
        ("1000-0", "1001-0", 9.0, pytest.approx(7.999)),
        ("torn", "5000-0", 9.0, 0.0),
    ],
)
def test_behind(version: str, last_id: str, now: float, late: Any) -> None:
    """The lag is the time that the newest entry has waited, or the time between it and the version."""
    assert (
        derived.behind_s(Snapshot("r", version=version, generation=1, last_id=last_id, server_time_s=now))
        == late
    )
