"""The task of the compared libraries: write the last values of each event to the fields of one hash, as plain text.

This is less than a fold: no history, no counter, no log, no version, and no protection against a crash halfway.
"""

import json
from collections.abc import Mapping
from typing import Any

#: The consumer group of the compared libraries, and its only consumer.
GROUP, CONSUMER = "peers", "peer"


def section_of(kind: str, event: Mapping[str, Any]) -> str:
    """Return the key of the hash for an event."""
    env, slot = event["data"].get("env_id"), event.get("slot_id")
    if env is None:
        return f"peer:{kind}"
    return f"peer:env:{env}" if slot is None else f"peer:seed:{env}:{slot}"


def texts(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of an event as text; `HSET` requires at least one."""
    found = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
    return found or {"empty": "1"}
