"""Texts for values that have no plain form: bounded, valid UTF-8, and safe from errors in foreign code."""

import math
import re
from collections.abc import Callable
from reprlib import Repr
from typing import Any

#: Maximum length of a `repr` that is sent, in characters.
MAX_REPR_CHARS = 1000

#: Levels and elements of each container that its `repr` shows.
_LEVELS, _ELEMENTS = 3, 30

_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS = {None: "null", False: "false", True: "true"}

# Not `kind.__name__`: a metaclass may raise there.
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__


def clean(text: str) -> str:
    """Return text that has a UTF-8 form: a lone surrogate becomes U+FFFD, a pair becomes its character."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def bounded_repr(value: object) -> str:
    """Return the `repr` of any value, at most 1,000 characters; `<unprintable TYPE>` if it raises."""
    try:
        # A foreign `__repr__` may return a subclass of str.
        text = str.__str__(_REPR.repr(value))
    except Exception:  # noqa: BLE001  # also a ValueError: integers of many thousand digits have no text
        text = f"<unprintable {_name_of(type(value))}>"
    return clean(text[:MAX_REPR_CHARS])


def json_name(value: object) -> str:
    """Return a number, a bool or None as JSON spells it, for use as a key."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if not isinstance(value, float) or math.isfinite(value):
        return bounded_repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class _Repr(Repr):
    """Shortens containers before they are printed: the full text of nested ones may be endless."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = _LEVELS
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = _ELEMENTS

    def repr1(self, x: Any, level: int) -> str:
        """Pass only real containers to the base class, which dispatches by the name of a type."""
        if type(x) in _CONTAINERS:
            return super().repr1(x, level)
        return repr(x) if level == _LEVELS else bounded_repr(x)


_REPR = _Repr()
