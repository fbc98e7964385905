"""Histories as lines of blocks: a sparkline of one row, and a chart of several."""

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_LEVELS = len(_BLOCKS)

#: Sign for a value that is NaN, infinite or missing.
_HOLE = "·"


def sparkline(values: Sequence[float], width: int) -> str:
    """Return the last values, one block each, the lowest of them lowest; as many as there are, at most `width`."""
    shown = values[-width:] if width > 0 else ()
    span = _span(shown)
    return "".join(
        _BLOCKS[_level(value, span, _LEVELS)] if math.isfinite(value) else _HOLE for value in shown
    )


def chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """Return the last values as columns of blocks in `height` lines, the top line first."""
    shown = values[-width:] if width > 0 else ()
    span = _span(shown)
    rows = [[" "] * len(shown) for _ in range(height)]
    for column, value in enumerate(shown):
        if not math.isfinite(value):
            rows[-1][column] = _HOLE
            continue
        full, rest = divmod(_level(value, span, _LEVELS * height), _LEVELS)
        for row in range(full):
            rows[height - 1 - row][column] = _BLOCKS[-1]
        rows[height - 1 - full][column] = _BLOCKS[rest]
    return ["".join(row) for row in rows]


def limits(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the least and the greatest finite value, or None where there is none."""
    return _span(values)


def _span(values: Sequence[float]) -> tuple[float, float] | None:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else None


def _level(value: float, span: tuple[float, float] | None, levels: int) -> int:
    # Halved first: the difference of two huge values may be infinite.
    low, high = (0.0, 0.0) if span is None else (span[0] / 2, span[1] / 2)
    if high == low:
        # A flat line is in the middle, because at the bottom it would look like zero.
        return (levels - 1) // 2
    return max(0, min(levels - 1, round((value / 2 - low) / (high - low) * (levels - 1))))
