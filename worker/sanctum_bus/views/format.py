"""Telemetry as text for people: whatever an event brought, a terminal gets one harmless line of it.

A field of a section may hold anything: what is no number where one is shown reads as "not known".
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from sanctum_bus.protocol.entry import Value

FieldsViewView = Mapping[str, Value]

#: What stands for a value that is not known.
UNKNOWN = "-"

#: Characters of a text that are looked at: no table shows more, and a value may have a million.
_MAX_CHARS = 2000

_BLANKS = re.compile(r"[\s\x85\u2028\u2029]+")

# C0 and C1 controls begin the sequences that a terminal obeys; the others hide or turn the text around them.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)

_LARGE, _MINUTE, _HOUR, _DAY = 1e6, 60, 3600, 86_400


def printable(value: object, limit: int = _MAX_CHARS) -> str:
    """Return text as one line without control characters; what is longer than the limit ends in an ellipsis."""
    text = str(value)[: limit * 4]
    text = _UNPRINTABLE.sub("", _BLANKS.sub(" ", text)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def text_field(fields: FieldsViewView, name: str) -> str:
    """Return a field that should be a text, or "" where it is none."""
    value = fields.get(name)
    return printable(value) if isinstance(value, str) else ""


def label(part: str) -> str:
    """Return a part of a section's name as it was emitted."""
    return printable(unquote(part))


def number(value: Value) -> float | None:
    """Return a number, NaN and infinities included, or None where the value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def numbers(value: Value) -> list[float]:
    """Return a history as numbers, NaN where one is missing; empty where it is no list."""
    found = [number(item) for item in value] if isinstance(value, list) else []
    return [math.nan if item is None else item for item in found]


def decimals(value: Value, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number with so many decimals; very large and very small ones with an exponent."""
    found = number(value)
    if found is None:
        return UNKNOWN
    if not math.isfinite(found):
        return str(found).replace("nan", "NaN").replace("inf", "∞")
    plus = "+" if sign else ""
    size = abs(found)
    if size >= _LARGE or 0 < size < 0.5 * 10.0**-digits:
        return f"{found:{plus}.1e}"
    return f"{found:{plus}.{digits}f}"


def count(value: Value) -> str:
    """Return a whole number with separators."""
    found = number(value)
    if found is None or not math.isfinite(found):
        return UNKNOWN
    return f"{found:,.0f}"


def plain_number(value: Value) -> str:
    """Return the number that names an environment, an episode or a batch: as it is written everywhere else."""
    return count(value).replace(",", "")


def duration(seconds: float | None) -> str:
    """Return a duration in at most two units."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    seconds = max(0.0, seconds)
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  # tenths matter below
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def clock(at: Value) -> str:
    """Return the time of day of Unix seconds, in UTC."""
    return _formatted(at, "%H:%M:%S")


def date(at: Value) -> str:
    """Return date and time of day of Unix seconds, in UTC."""
    return _formatted(at, "%Y-%m-%d %H:%M:%S")


def _formatted(at: Value, form: str) -> str:
    found = number(at)
    try:
        return UNKNOWN if found is None else datetime.fromtimestamp(found, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return UNKNOWN
