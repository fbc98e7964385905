"""The names of the Redis keys of Sanctum; `key_table` describes each key.

All keys of a run carry the hash tag `{run_id}`. So they are on one Redis Cluster slot, and one script can
access all of them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sanctum_bus.errors import InvalidArgument

#: Prefix of every key, unless the setting `key_prefix` changes it.
DEFAULT_PREFIX = "nissa"

#: Environment variable with the prefix of every key.
PREFIX_VARIABLE = "SANCTUM_KEY_PREFIX"

#: The only consumer group of a run's stream, and its only consumer: a constant name, so that consumers do not
#: accumulate.
GROUP = "sanctum"
CONSUMER = "owner"

#: Maximum length in bytes of UTF-8 of a part of a section's name, and of a field's name.
MAX_NAME_BYTES = 128

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of one run.

    Args:
        run_id: matches `[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}`.
        prefix: the setting `key_prefix`.

    Raises:
        InvalidArgument: the run ID or the prefix has characters that could break out of the key.
    """

    run_id: str
    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        check_run_id(self.run_id)
        check_prefix(self.prefix)

    @property
    def base(self) -> str:
        """Return the prefix of all keys of the run, with the last colon."""
        return f"{self.prefix}:{{{self.run_id}}}:"

    @property
    def events(self) -> str:
        """Return the key of the source stream."""
        return self.base + "events"

    @property
    def checkpoint(self) -> str:
        """Return the key of version, generation, owner and counters."""
        return self.base + "checkpoint"

    @property
    def sections(self) -> str:
        """Return the key of the index: section -> ID of its last change."""
        return self.base + "sections"

    @property
    def coverage(self) -> str:
        """Return the key of the counts of event types and fields."""
        return self.base + "coverage"

    @property
    def log(self) -> str:
        """Return the key of the seed event log."""
        return self.base + "log"

    @property
    def batches(self) -> str:
        """Return the key of the batches stream."""
        return self.base + "batches"

    @property
    def dead(self) -> str:
        """Return the key of the dead letters."""
        return self.base + "dead"

    @property
    def recent(self) -> str:
        """Return the key of the index of recent changes."""
        return self.base + "recent"

    @property
    def producers(self) -> str:
        """Return the key of what each producer sent and dropped."""
        return self.base + "producers"

    @property
    def changed(self) -> str:
        """Return the name of the sharded channel of change notifications."""
        return self.base + "changed"

    @property
    def none(self) -> str:
        """Return the key that never exists. Each script declares it, so that a slot in migration refuses the script at once."""
        return self.base + "none"

    @property
    def written(self) -> tuple[str, ...]:
        """Return the keys, besides sections, that a commit can write, in the order of the scripts."""
        return (
            self.events,
            self.checkpoint,
            self.sections,
            self.coverage,
            self.log,
            self.batches,
            self.dead,
            self.recent,
            self.none,
        )

    @property
    def fixed(self) -> tuple[str, ...]:
        """Return every key that a run can have besides sections; the index of sections and the key that never exists come first."""
        rest = [key for key in self.written if key not in (self.sections, self.none)]
        return (self.sections, self.none, *rest, self.producers)

    def section(self, name: str) -> str:
        """Return the key of a section."""
        return self.base + name


def runs(prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of the index of runs by last activity."""
    return f"{check_prefix(prefix)}:runs"


def workers(prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of the workers and the ends of their leases."""
    return f"{check_prefix(prefix)}:workers"


def workers_state(prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of the status of each worker."""
    return f"{check_prefix(prefix)}:workers:state"


def catalog(prefix: str = DEFAULT_PREFIX) -> str:
    """Return the key of the declared fields."""
    return f"{check_prefix(prefix)}:catalog"


def events_pattern(prefix: str = DEFAULT_PREFIX) -> str:
    """Return the SCAN pattern that matches the source stream of every run."""
    return f"{check_prefix(prefix)}:{{*}}:events"


def run_of_events_key(key: str, prefix: str = DEFAULT_PREFIX) -> str | None:
    """Return the run ID in the name of a source stream; None if the name is another one."""
    head, tail = f"{prefix}:{{", "}:events"
    if not (key.startswith(head) and key.endswith(tail)):
        return None
    run_id = key[len(head) : -len(tail)]
    return run_id if _RUN_ID.fullmatch(run_id) else None


def is_run_id(text: str) -> bool:
    """Return whether a text is a valid run ID."""
    return _RUN_ID.fullmatch(text) is not None


def check_run_id(run_id: str) -> str:
    """Return a run ID that was checked.

    Raises:
        InvalidArgument: the run ID is invalid.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise InvalidArgument(
            f"invalid run ID {run_id!r}: it must be 1 to 128 characters of A-Z a-z 0-9 _ . : - and begin with a letter or a digit"
        )
    return run_id


def check_prefix(prefix: str) -> str:
    """Return a key prefix that was checked.

    Raises:
        InvalidArgument: the prefix is invalid.
    """
    if not (isinstance(prefix, str) and _PREFIX.fullmatch(prefix)):
        raise InvalidArgument(
            f"invalid key prefix {prefix!r}: it must be 1 to 64 characters of A-Z a-z 0-9 _ . : -"
        )
    return prefix


def resolve_prefix(prefix: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the key prefix: the argument, else the environment variable, else the default.

    Raises:
        InvalidArgument: the prefix is invalid.
    """
    return check_prefix(prefix if prefix is not None else environ.get(PREFIX_VARIABLE) or DEFAULT_PREFIX)
