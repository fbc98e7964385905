"""Names of sections: parts that cannot break out of their key."""

import re
from functools import lru_cache
from urllib.parse import quote

from sanctum_bus.errors import Unfit
from sanctum_bus.keys import MAX_NAME_BYTES

_SAFE = re.compile(r"[A-Za-z0-9_.-]+")


@lru_cache(maxsize=4096)
def name_part(text: str) -> str:
    """Return one part of a section's name, percent-encoded outside `[A-Za-z0-9_.-]`.

    Raises:
        Unfit: it is empty, or longer than 128 bytes.
    """
    if not text:
        raise Unfit("a part of a section's name is empty")
    part = text if _SAFE.fullmatch(text) else quote(text, safe="_.-").replace("~", "%7E")
    if len(part) > MAX_NAME_BYTES:
        raise Unfit(f"{part[:40]}... would be a name of more than {MAX_NAME_BYTES} bytes")
    return part


@lru_cache(maxsize=4096)
def type_part(event_type: str) -> str:
    """Return an event type as a part of a name in which a dot ends it: its own dots are percent-encoded."""
    return name_part(event_type).replace(".", "%2E")
