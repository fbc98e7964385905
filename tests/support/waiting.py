"""Wait for a condition: the only place in the tests that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

#: Seconds between two checks.
_POLL_S = 0.005


def wait_until(predicate: Callable[[], T], what: str, deadline_s: float = 30.0) -> T:
    """Call a predicate until it is true, and return its result.

    Args:
        predicate: is called at least twice; its errors are passed on.
        what: the sentence that should become true, for the message.
        deadline_s: seconds after which the test fails, with `what` and the last result.
    """
    deadline = time.monotonic() + deadline_s
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            # One more check: on a busy machine there was only one.
            if answer := predicate():
                break
            pytest.fail(f"not within {deadline_s:g} s: {what}; the last answer was {answer!r}")
        time.sleep(_POLL_S)
    return answer
