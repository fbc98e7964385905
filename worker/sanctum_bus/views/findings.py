"""Findings about the data of a view: pure functions of a snapshot."""

from sanctum_bus.reader import Snapshot
from sanctum_bus.views.format import duration
from sanctum_bus.views.model import Finding, Header

#: Seconds of lag that are not worth a finding: a working worker is always a moment behind.
BEHIND_S = 1.0


def findings_of(snapshot: Snapshot, header: Header) -> tuple[Finding, ...]:
    """Return the findings about a snapshot, the most severe first."""
    found = []
    if snapshot.is_torn:
        text = "the last commit stopped half-way; a worker folds the run again"
        found.append(Finding(kind="torn", text=text))
    elif not snapshot.generation:
        found.append(Finding(kind="not_folded", text="not folded yet; start a worker: sanctum worker"))
    if header.behind_s > BEHIND_S:
        found.append(
            Finding(kind="behind", text=f"{duration(header.behind_s)} behind; check `sanctum workers`")
        )
    if header.lost_total:
        reasons = ", ".join(f"{amount:,} {reason}" for reason, amount in sorted(header.lost.items()))
        found.append(Finding(kind="lost", text=f"{header.lost_total:,} events lost ({reasons})"))
    if header.parked:
        text = f"{header.parked:,} dead letters; see `sanctum dead-letters {header.run_id}`"
        found.append(Finding(kind="dead_letters", text=text))
    return tuple(found)
