"""Recorded ratios. A new ratio that is less than half as good shows a regression."""

import json
from pathlib import Path

from bench.load import ROOT
from bench.results import Figure, Results

PATH = ROOT / "bench" / "recorded.json"

#: Factor by which a ratio must be worse to fail; loose, because machines differ and are busy.
TOLERANCE = 2.0


def record(results: Results, path: Path = PATH) -> None:
    """Write the medians of the ratios; keep ratios that were not measured."""
    ratios = _read(path) | {one.name: round(one.median, 4) for one in results.figures if _is_kept(one)}
    path.write_text(json.dumps(ratios, indent=1, sort_keys=True) + "\n")


def worse(results: Results, path: Path = PATH) -> list[str]:
    """Return a message for each ratio that is less than half as good as recorded."""
    known = _read(path)
    return [
        f"{one.name}: {one.median:.3g} is less than half as good as the recorded {known[one.name]:.3g}; "
        f"find the slowdown, or accept the new value with: scripts/bench --quick --record"
        for one in results.figures
        if _is_kept(one) and one.name in known and _is_worse(one, known[one.name])
    ]


def _is_kept(figure: Figure) -> bool:
    # High percentiles depend too much on other load on the machine.
    return figure.is_ratio and not figure.name.endswith(("_p99", "_p999"))


def _is_worse(figure: Figure, known: float) -> bool:
    if figure.better == "higher":
        return figure.median < known / TOLERANCE
    return figure.median > known * TOLERANCE


def _read(path: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    return found
