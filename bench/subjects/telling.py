"""Arguments and reports of a subject."""

import json
import sys
from typing import Any


def told() -> dict[str, Any]:
    """Return the arguments of this process."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def report(**found: Any) -> None:
    """Print the result as one JSON line; the last line counts."""
    print(json.dumps(found), flush=True)


def ready() -> None:
    """Print `ready` when everything is loaded and connected."""
    print("ready", flush=True)


def word() -> str:
    """Wait for a line on standard input, and return it."""
    return sys.stdin.readline().strip()
