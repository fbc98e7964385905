"""Formats: curves, numbers, times, and text without control characters."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.cli.sections import value_text
from sanctum_bus.views.format import clock, count, date, decimals, duration, printable
from sanctum_bus.views.tui.spark import chart, sparkline


@given(st.lists(st.floats()), st.integers(0, 60), st.integers(1, 8))
def test_curves(values: list[float], width: int, height: int) -> None:
    """A curve has a column for each of the last values and the requested number of rows, for any values."""
    assert len(sparkline(values, width)) == min(len(values), width)
    rows = chart(values, width, height)
    assert len(rows) == height
    assert {len(row) for row in rows} == {min(len(values), width)}


@pytest.mark.parametrize(
    ("values", "curve"),
    [
        ([0, 1], "▁█"),
        ([5, 5, 5], "▄▄▄"),
        ([0, math.nan, 1, math.inf], "▁·█·"),
        ([-1.7e308, 0, 1.7e308], "▁▅█"),
        ([], ""),
    ],
)
def test_a_curve(values: list[float], curve: str) -> None:
    """The lowest value is at the bottom; a flat line is in the middle; a value that is not a number is a dot."""
    assert sparkline(values, 10) == curve


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (57.03125, "57.0"),
        (0, "0.0"),
        (1e21, "1.0e+21"),
        (-6e-10, "-6.0e-10"),
        (math.nan, "NaN"),
        (-math.inf, "-∞"),
        (10**400, "∞"),
        (None, "-"),
        (True, "-"),
        ("5", "-"),
    ],
)
def test_numbers(value: Any, text: str) -> None:
    """Numbers are short at any size, and a value that is not a number is a dash."""
    assert decimals(value) == text


def test_a_history_of_words_is_no_curve() -> None:
    """A history of numbers is a curve; one of words is shown as it stands."""
    assert value_text("reward_history", [1.0, None, 2.5]).plain.endswith("3 values, last 2.5000")
    assert value_text("action_history", ["WAIT", "CULL"]).plain == '["WAIT","CULL"]'


def test_times() -> None:
    """Durations have at most two units; times are in UTC; a value that is not a time is a dash."""
    assert [duration(s) for s in (0.25, 59, 61, 3700, 90_000, None, math.nan)] == [
        *("0.2 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h", "-", "-")
    ]
    assert (clock(0), date(0.0), clock(None), clock(1e300), clock(math.nan)) == (
        *("00:00:00", "1970-01-01 00:00:00", "-", "-", "-"),
    )
    assert (count(1234567), count(None), count(math.inf)) == ("1,234,567", "-", "-")


@given(st.text())
def test_safe_text(text: str) -> None:
    """Text for a terminal is one line without control characters, and no longer than it may be."""
    made = printable(text, 20)

    assert len(made) <= 20
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in made)
