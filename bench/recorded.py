"""The ratios that were once measured: a new one that is worse than half of its own says that something has broken."""

import json
from pathlib import Path

from bench.load import ROOT
from bench.results import Figure, Results

PATH = ROOT / "bench" / "recorded.json"

#: Machines differ and are busy; only what is so many times worse is believed.
TOLERANCE = 2.0


def record(results: Results, path: Path = PATH) -> None:
    """Write the medians of the ratios; those that were not measured stay as they were."""
    ratios = _read(path) | {one.name: round(one.median, 4) for one in results.figures if _is_kept(one)}
    path.write_text(json.dumps(ratios, indent=1, sort_keys=True) + "\n")


def worse(results: Results, path: Path = PATH) -> list[str]:
    """Return a sentence for each ratio that is half as good as the recorded one, or worse."""
    known = _read(path)
    return [
        f"{one.name}: {one.median:.3g} is less than half as good as the recorded {known[one.name]:.3g}; "
        f"look for what made it slow, or measure anew with: scripts/bench --quick --record"
        for one in results.figures
        if _is_kept(one) and one.name in known and _is_worse(one, known[one.name])
    ]


def _is_kept(figure: Figure) -> bool:
    # The slowest of a hundred says more of who else uses the machine.
    return figure.is_ratio and not figure.name.endswith(("_p99", "_p999"))


def _is_worse(figure: Figure, known: float) -> bool:
    if figure.better == "higher":
        return figure.median < known / TOLERANCE
    return figure.median > known * TOLERANCE


def _read(path: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return found
