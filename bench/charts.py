"""Bar charts of the figures, as hand-written SVG without dependencies."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.results import Figure, Results, Stage
from bench.table import number

_WIDTH, _LABEL, _VALUE = 960, 430, 140
_ROW, _BAR, _TOP = 26, 16, 44
_GOOD, _BAD, _PLAIN, _INK = "#2f7d5b", "#b4543a", "#4a6fa5", "#333333"
_FONT = "font-family='system-ui, sans-serif' font-size='13'"


@dataclass(frozen=True)
class Bar:
    """One bar.

    Args:
        share: length of the bar; 1 is the full width.
        words: text after the bar.
    """

    label: str
    share: float
    words: str
    color: str = _PLAIN


def write(results: Results, folder: Path) -> list[Path]:
    """Write every chart that the results have data for, and return the paths."""
    made = {
        "goals": ("Medians relative to their goals (dashed line: goal)", _goals(results.figures), 0.5),
        "drain": ("Events per second, one run (logarithmic scale)", _speeds(results.figures), None),
        "profile": ("Microseconds per event, by stage", _stages(results.profile), None),
    }
    paths = []
    for name, (title, bars, line) in made.items():
        if bars:
            paths.append(folder / f"{name}.svg")
            paths[-1].write_text(svg(title, bars, line))
    return paths


def svg(title: str, bars: Sequence[Bar], line: float | None = None) -> str:
    """Return a chart of horizontal bars.

    Args:
        title: heading of the chart.
        bars: from top to bottom.
        line: position of a vertical line, as a share of the width.
    """
    height, room = _TOP + _ROW * len(bars) + 12, _WIDTH - _LABEL - _VALUE
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' role='img' {_FONT}>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{_WIDTH}' height='{height}' fill='white'/>",
        f"<text x='16' y='26' fill='{_INK}' font-weight='600'>{escape(title)}</text>",
    ]
    for row, bar in enumerate(bars):
        parts += _row(bar, _TOP + row * _ROW, room)
    if line is not None:
        x = _LABEL + line * room
        parts.append(
            f"<line x1='{x:.0f}' x2='{x:.0f}' y1='{_TOP - 6}' y2='{height - 8}' stroke='{_INK}' stroke-dasharray='3 3'/>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(bar: Bar, top: int, room: int) -> list[str]:
    length = max(1.0, min(1.0, bar.share) * room)
    base = top + _BAR - 3
    return [
        f"<text x='{_LABEL - 10}' y='{base}' fill='{_INK}' text-anchor='end'>{escape(bar.label)}</text>",
        f"<rect x='{_LABEL}' y='{top}' width='{length:.1f}' height='{_BAR}' rx='2' fill='{bar.color}'/>",
        f"<text x='{_LABEL + length + 8:.0f}' y='{base}' fill='{_INK}'>{escape(bar.words)}</text>",
    ]


def _goals(figures: Iterable[Figure]) -> list[Bar]:
    """Return one bar for each figure with a goal; the goal is at half the width, and longer is better."""
    bars = []
    for one in figures:
        if one.goal is None or one.median <= 0:
            continue
        ratio = one.median / one.goal if one.better == "higher" else one.goal / one.median
        # The edges are ten times better and ten times worse.
        share = 0.5 + math.log10(ratio) / 2
        sign = ">=" if one.better == "higher" else "<="
        words = f"{number(one.median)} ({sign} {number(one.goal)})"
        bars.append(Bar(_plain(one.title), share, words, _GOOD if one.is_met else _BAD))
    return bars


def _speeds(figures: Iterable[Figure]) -> list[Bar]:
    """Return one bar for each drain of one run, fastest first."""
    speeds: dict[str, float] = {}
    for one in figures:
        if one.name == "drain" or one.name.startswith("peers_"):
            speeds |= {part.label: part.median for part in one.parts}
    most = math.log10(max(speeds.values(), default=10.0))
    ordered = sorted(speeds.items(), key=lambda item: -item[1])
    return [
        Bar(
            label,
            math.log10(max(speed, 10.0)) / most,
            f"{speed:,.0f}",
            _GOOD if label == "Sanctum" else _PLAIN,
        )
        for label, speed in ordered
    ]


def _stages(profile: Iterable[Stage]) -> list[Bar]:
    stages = list(profile)
    most = max((stage.micros for stage in stages), default=1.0)
    return [
        Bar(f"{stage.process}: {stage.name}", stage.micros / most, f"{stage.micros:.2f}") for stage in stages
    ]


def _plain(title: str) -> str:
    words = title.replace("`", "")
    return words if len(words) <= 60 else words[:59] + "…"
