"""Names of sections: building and parsing them. No part of a name can break out of its key."""

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.protocol.keys import MAX_NAME_BYTES

#: Sections of which a group has one each.
RUN, POLICY, BATCH, EPOCH, BEST = "run", "policy", "batch", "epoch", "best"

#: The family of the environments' sections: the parent of `env:<env_id>`.
ENV = "env"

_SAFE = re.compile(r"[A-Za-z0-9_.-]+")


@lru_cache(maxsize=4096)
def name_part(text: str) -> str:
    """Return one part of a section's name, percent-encoded outside `[A-Za-z0-9_.-]`.

    Raises:
        InvalidEntry: the part is empty, or longer than 128 bytes.
    """
    if not text:
        raise InvalidEntry("a part of a section's name is empty")
    part = text if _SAFE.fullmatch(text) else quote(text, safe="_.-").replace("~", "%7E")
    if len(part) > MAX_NAME_BYTES:
        raise InvalidEntry(f"{part[:40]}... would be a name of more than {MAX_NAME_BYTES} bytes")
    return part


@lru_cache(maxsize=4096)
def type_part(event_type: str) -> str:
    """Return an event type as a part of a name in which a dot follows: its dots are percent-encoded too."""
    return name_part(event_type).replace(".", "%2E")


@lru_cache(maxsize=4096)
def env_section(env_id: int) -> str:
    """Return the name of an environment's section within its group."""
    return f"env:{env_id}"


def seed_family(env_id: int | str) -> str:
    """Return the family of the sections of an environment's slots: the parent of `seed:<env_id>:<slot>`."""
    return f"seed:{env_id}"


@lru_cache(maxsize=4096)
def seed_section(env_id: int, slot: str) -> str:
    """Return the name of a slot's section within its group.

    Raises:
        InvalidEntry: the name is too long.
    """
    return f"seed:{env_id}:{name_part(slot)}"


def blueprint_section(blueprint_id: str) -> str:
    """Return the name of a blueprint's section within its group.

    Raises:
        InvalidEntry: the name is too long.
    """
    return f"blueprint:{name_part(blueprint_id)}"


@lru_cache(maxsize=4096)
def event_section(event_type: str, kind: str = "", env_id: int | None = None) -> str:
    """Return the name of the section of an event type that has no other place, in its group.

    Raises:
        InvalidEntry: a part of the name would be empty or too long.
    """
    name = f"event:{type_part(event_type)}" + (f".{name_part(kind)}" if kind else "")
    return name if env_id is None else f"{name}:{env_id}"


def section_kind(name: str) -> str:
    """Return the kind of a section: its name up to the first colon, without its group."""
    return name.rpartition("/")[2].partition(":")[0]


def groups(names: Iterable[str]) -> tuple[str, ...]:
    """Return the A/B groups of a run, sorted, as the names of sections spell them."""
    return tuple(sorted({name.partition("/")[0] for name in names if "/" in name}))


def env_ids(names: Iterable[str], *, group: str = "") -> list[int]:
    """Return the environments among the names of sections, sorted.

    Args:
        names: names of sections.
        group: an A/B group as the names spell it; empty for the sections without a group.
    """
    prefix = family_prefix(group, "env")
    ids = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(int(one) for one in ids if is_number(one))


def family_prefix(group: str, family: str) -> str:
    """Return the prefix of a family's section names: `env:`, or `A/env:` in group `A`."""
    return f"{group}/{family}:" if group else f"{family}:"


def is_number(text: str) -> bool:
    """Return whether a part of a name is a number in ASCII digits."""
    return text.isascii() and text.isdigit()
