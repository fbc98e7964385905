"""How a subject is told what to do, and how it reports."""

import json
import sys
from typing import Any


def told() -> dict[str, Any]:
    """Return what this process was told."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def report(**found: Any) -> None:
    """Print the result; the last line counts."""
    print(json.dumps(found), flush=True)


def ready() -> None:
    """Say that everything is loaded and connected."""
    print("ready", flush=True)


def word() -> str:
    """Wait until this process is told something, and return it."""
    return sys.stdin.readline().strip()
