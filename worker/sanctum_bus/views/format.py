"""Formats for people: any value becomes one harmless line of text.

A field of a section may hold any value. If a number is expected and the value is not a number, the text is "-".
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from sanctum_bus.protocol.entry import Value
from sanctum_bus.views.derived import as_float

FieldsViewView = Mapping[str, Value]

#: Text for an unknown value.
UNKNOWN = "-"

#: Characters of a text to keep: no table shows more, and a value may have a million.
_MAX_CHARS = 2000

_BLANKS = re.compile(r"[\s\x85\u2028\u2029]+")

# C0 and C1 controls start terminal escape sequences; the others hide or reverse the text around them.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)

_LARGE, _MINUTE, _HOUR, _DAY = 1e6, 60, 3600, 86_400


def printable(value: object, limit: int = _MAX_CHARS) -> str:
    """Return text as one line without control characters; a longer text than the limit ends in an ellipsis."""
    text = str(value)[: limit * 4]
    text = _UNPRINTABLE.sub("", _BLANKS.sub(" ", text)).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def label(part: str) -> str:
    """Return a part of a section's name as it was emitted, decoded."""
    return printable(unquote(part))


def decimals(value: Value, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number with the given decimals; very large and very small numbers get an exponent."""
    found = as_float(value)
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
    """Return a number without decimals, with thousands separators."""
    found = as_float(value)
    if found is None or not math.isfinite(found):
        return UNKNOWN
    return f"{found:,.0f}"


def plain_number(value: Value) -> str:
    """Return the number of an environment, an episode or a batch, without separators."""
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
    """Return the time of day of a Unix time in seconds, in UTC."""
    return _formatted(at, "%H:%M:%S")


def date(at: Value) -> str:
    """Return date and time of day of a Unix time in seconds, in UTC."""
    return _formatted(at, "%Y-%m-%d %H:%M:%S")


def _formatted(at: Value, form: str) -> str:
    found = as_float(at)
    try:
        return UNKNOWN if found is None else datetime.fromtimestamp(found, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return UNKNOWN
