"""Every Redis key that Sanctum uses: its name, its type, who writes it, and what it holds.

All keys of a run carry the hash tag `{run_id}`, so they sit on one Redis Cluster slot and one script may touch them
all. The same table, generated from `TABLE`, is in the documentation.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sanctum_bus.errors import InvalidArgument

#: Keys begin with this unless the setting `key_prefix` says otherwise.
DEFAULT_PREFIX = "nissa"

#: Names what keys begin with where nobody says.
PREFIX_VARIABLE = "SANCTUM_KEY_PREFIX"

#: The one consumer group of a run's stream, and its one consumer: a constant name, so that none leak.
GROUP = "sanctum"
CONSUMER = "owner"

#: Longest part of a section's name, and longest field name, in bytes of UTF-8.
MAX_NAME_BYTES = 128

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class KeyRow(NamedTuple):
    """One row of the key table."""

    name: str
    redis_type: str
    written_by: str
    what: str


TABLE = (
    KeyRow(
        "{p}:{{R}}:events",
        "stream",
        "producers",
        "the source; consumer group `sanctum`, one consumer `owner`",
    ),
    KeyRow("{p}:{{R}}:run", "hash", "owner", "identity and configuration of the run, progress, status"),
    KeyRow("{p}:{{R}}:policy", "hash", "owner", "the last policy update, with its histories"),
    KeyRow("{p}:{{R}}:batch", "hash", "owner", "the last batch, throughput, rolling values"),
    KeyRow("{p}:{{R}}:epoch", "hash", "owner", "the last aggregate epoch (one without an environment)"),
    KeyRow("{p}:{{R}}:env:<env_id>", "hash", "owner", "one environment"),
    KeyRow("{p}:{{R}}:seed:<env_id>:<slot_id>", "hash", "owner", "one seed slot"),
    KeyRow("{p}:{{R}}:blueprint:<id>", "hash", "owner", "what became of one blueprint's seeds"),
    KeyRow("{p}:{{R}}:best", "hash", "owner", "leaderboard of best episodes, fields `1` to `10`"),
    KeyRow(
        "{p}:{{R}}:event:<TYPE>[.<kind>][:<env_id>]",
        "hash",
        "owner",
        "count and last payload of every event type that has no section of its own",
    ),
    KeyRow("{p}:{{R}}:<group>/<section>", "hash", "owner", "the sections of an A/B group"),
    KeyRow(
        "{p}:{{R}}:log",
        "stream",
        "owner",
        "the seed event log, capped; a line bears the id of its source entry",
    ),
    KeyRow("{p}:{{R}}:batches", "stream", "owner", "one line per batch, capped: the curves"),
    KeyRow("{p}:{{R}}:dead", "stream", "owner", "parked entries: raw fields, reason, source id; capped"),
    KeyRow("{p}:{{R}}:coverage", "hash", "owner", "`<TYPE>.<field>` -> times seen"),
    KeyRow(
        "{p}:{{R}}:sections",
        "hash",
        "owner",
        "section -> id of the entry that last changed it; `-` before it: gone",
    ),
    KeyRow(
        "{p}:{{R}}:recent",
        "sorted set",
        "owner",
        "section -> a number that grows with the id in `sections`: what changed is found without going through all",
    ),
    KeyRow(
        "{p}:{{R}}:checkpoint",
        "hash",
        "owner",
        "version, generation, owner, attempts, counters, last `seq` by producer",
    ),
    KeyRow("{p}:{{R}}:producers", "hash", "producers", "producer -> what it sent and dropped, and when"),
    KeyRow(
        "{p}:{{R}}:changed",
        "sharded channel",
        "owner",
        "a hint after each commit, as JSON: `generation`, `version`, `sections` that changed, `followers` who hear it",
    ),
    KeyRow(
        "{p}:{{R}}:none",
        "never exists",
        "nobody",
        "declared by every script: a cluster slot on the move refuses it",
    ),
    KeyRow(
        "{p}:runs",
        "sorted set",
        "producers, workers",
        "run -> last activity, server time in ms: how runs are found",
    ),
    KeyRow(
        "{p}:workers", "sorted set", "workers", "worker -> until when it counts as alive, server time in ms"
    ),
    KeyRow(
        "{p}:workers:state",
        "hash",
        "workers",
        "worker -> what it says of itself, as JSON; see `sanctum workers`",
    ),
    KeyRow(
        "{p}:catalog", "hash", "workers", "`<TYPE>.<field>` -> unit, meaning and place of a declared field"
    ),
)


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of one run.

    Args:
        run_id: matches `[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}`.
        prefix: the setting `key_prefix`.

    Raises:
        BadInput: the run id or the prefix has characters that could break out of the key.
    """

    run_id: str
    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        check_run_id(self.run_id)
        check_prefix(self.prefix)

    @property
    def base(self) -> str:
        """What every key of the run begins with, the last colon included."""
        return f"{self.prefix}:{{{self.run_id}}}:"

    @property
    def events(self) -> str:
        """The source stream."""
        return self.base + "events"

    @property
    def checkpoint(self) -> str:
        """Version, generation, owner and counters."""
        return self.base + "checkpoint"

    @property
    def sections(self) -> str:
        """The index: section name to id of its last change."""
        return self.base + "sections"

    @property
    def coverage(self) -> str:
        """How often each field of each event type was seen."""
        return self.base + "coverage"

    @property
    def log(self) -> str:
        """The seed event log."""
        return self.base + "log"

    @property
    def batches(self) -> str:
        """One line per batch."""
        return self.base + "batches"

    @property
    def dead(self) -> str:
        """Parked entries."""
        return self.base + "dead"

    @property
    def recent(self) -> str:
        """When each section was changed last, by which changes are found."""
        return self.base + "recent"

    @property
    def producers(self) -> str:
        """What each producer says that it sent and dropped."""
        return self.base + "producers"

    @property
    def changed(self) -> str:
        """The sharded channel of hints."""
        return self.base + "changed"

    @property
    def none(self) -> str:
        """A key that never exists; declared by every script, so that a slot on the move refuses it at once."""
        return self.base + "none"

    @property
    def written(self) -> tuple[str, ...]:
        """The keys that a commit may write besides sections, as the scripts number them."""
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
        """Every key that a run may have besides sections, the index of sections and the key that never exists first."""
        rest = [key for key in self.written if key not in (self.sections, self.none)]
        return (self.sections, self.none, *rest, self.producers)

    def section(self, name: str) -> str:
        """The key of one section."""
        return self.base + name


def runs(prefix: str = DEFAULT_PREFIX) -> str:
    """The sorted set of runs by last activity."""
    return f"{check_prefix(prefix)}:runs"


def workers(prefix: str = DEFAULT_PREFIX) -> str:
    """The sorted set of workers by how long they count as alive."""
    return f"{check_prefix(prefix)}:workers"


def workers_state(prefix: str = DEFAULT_PREFIX) -> str:
    """The hash of what the workers say of themselves."""
    return f"{check_prefix(prefix)}:workers:state"


def catalog(prefix: str = DEFAULT_PREFIX) -> str:
    """The hash of declared fields."""
    return f"{check_prefix(prefix)}:catalog"


def events_pattern(prefix: str = DEFAULT_PREFIX) -> str:
    """The pattern for SCAN that matches every run's source stream."""
    return f"{check_prefix(prefix)}:{{*}}:events"


def run_of_events_key(key: str, prefix: str = DEFAULT_PREFIX) -> str | None:
    """The run id in the name of a source stream, or None where the name is not one."""
    head, tail = f"{prefix}:{{", "}:events"
    if not (key.startswith(head) and key.endswith(tail)):
        return None
    run_id = key[len(head) : -len(tail)]
    return run_id if _RUN_ID.fullmatch(run_id) else None


def is_run_id(text: str) -> bool:
    """Whether a text is a run id that is fit for a key."""
    return _RUN_ID.fullmatch(text) is not None


def check_run_id(run_id: str) -> str:
    """Return a run id that is fit for a key.

    Raises:
        BadInput: it is not.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise InvalidArgument(
            f"run id {run_id!r} is not usable: it must be 1 to 128 of A-Z a-z 0-9 _ . : - and begin with a letter or a digit"
        )
    return run_id


def check_prefix(prefix: str) -> str:
    """Return a key prefix that is fit for a key.

    Raises:
        BadInput: it is not.
    """
    if not (isinstance(prefix, str) and _PREFIX.fullmatch(prefix)):
        raise InvalidArgument(
            f"key prefix {prefix!r} is not usable: it must be 1 to 64 of A-Z a-z 0-9 _ . : -"
        )
    return prefix


def prefix_of(prefix: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return what keys begin with: what is given, else what the environment says, else the default.

    Raises:
        BadInput: it is not fit for a key.
    """
    return check_prefix(prefix if prefix is not None else environ.get(PREFIX_VARIABLE) or DEFAULT_PREFIX)


def as_markdown() -> str:
    """Return the key table as the documentation shows it."""
    rows = ["| key | type | written by | what |", "|---|---|---|---|"]
    for row in TABLE:
        name = row.name.format(p=DEFAULT_PREFIX, R="R")
        rows.append(f"| `{name}` | {row.redis_type} | {row.written_by} | {row.what} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(as_markdown())  # noqa: T201  # this is what running the module is for
