"""The job that the peers do with each event: its last values become the fields of one hash, as plain text.

That is less than a fold: no history, no counter, no log, no version, nothing that survives a crash half-way.
"""

import json
from collections.abc import Mapping
from typing import Any

#: The peers' one consumer group, and its one consumer.
GROUP, CONSUMER = "peers", "peer"


def section_of(kind: str, event: Mapping[str, Any]) -> str:
    """Return the key of the hash that an event belongs to."""
    env, slot = event["data"].get("env_id"), event.get("slot_id")
    if env is None:
        return f"peer:{kind}"
    return f"peer:env:{env}" if slot is None else f"peer:seed:{env}:{slot}"


def texts(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of an event as texts; `HSET` wants at least one."""
    found = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
    return found or {"empty": "1"}
