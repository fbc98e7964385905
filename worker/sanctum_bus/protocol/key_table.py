"""The Redis keys of Sanctum: name, type, writer and content of each. The documentation shows this table."""

from typing import NamedTuple


class KeyRow(NamedTuple):
    """One row of the key table."""

    name: str
    redis_type: str
    written_by: str
    what: str


#: `{p}` stands for the prefix, `{{R}}` for the hash tag of a run.
TABLE = (
    KeyRow(
        "{p}:{{R}}:events",
        "stream",
        "producers",
        "the source of all events; consumer group `sanctum`, one consumer `owner`",
    ),
    KeyRow("{p}:{{R}}:run", "hash", "owner", "identity and configuration of the run, progress, status"),
    KeyRow("{p}:{{R}}:policy", "hash", "owner", "the last policy update, with its histories"),
    KeyRow("{p}:{{R}}:batch", "hash", "owner", "the last batch, throughput, rolling values"),
    KeyRow("{p}:{{R}}:epoch", "hash", "owner", "the last aggregate epoch (one without an environment)"),
    KeyRow("{p}:{{R}}:env:<env_id>", "hash", "owner", "one environment"),
    KeyRow("{p}:{{R}}:seed:<env_id>:<slot_id>", "hash", "owner", "one seed slot"),
    KeyRow(
        "{p}:{{R}}:blueprint:<id>",
        "hash",
        "owner",
        "the seeds of one blueprint: how many, and how they ended",
    ),
    KeyRow("{p}:{{R}}:best", "hash", "owner", "leaderboard of best episodes, fields `1` to `10`"),
    KeyRow(
        "{p}:{{R}}:event:<TYPE>[.<kind>][:<env_id>]",
        "hash",
        "owner",
        "count and last payload of each event type that has no separate section",
    ),
    KeyRow("{p}:{{R}}:<group>/<section>", "hash", "owner", "the sections of an A/B group"),
    KeyRow(
        "{p}:{{R}}:log",
        "stream",
        "owner",
        "the seed event log, capped; the ID of a line is the ID of its source entry",
    ),
    KeyRow("{p}:{{R}}:batches", "stream", "owner", "one line per batch, capped: the curves"),
    KeyRow("{p}:{{R}}:dead", "stream", "owner", "dead letters: raw fields, reason, source ID; capped"),
    KeyRow("{p}:{{R}}:coverage", "hash", "owner", "`<TYPE>.<field>` -> number of times seen"),
    KeyRow(
        "{p}:{{R}}:sections",
        "hash",
        "owner",
        "section -> ID of the entry that changed it last; `-` before the ID: deleted",
    ),
    KeyRow(
        "{p}:{{R}}:recent",
        "sorted set",
        "owner",
        "section -> a number that grows with the ID in `sections`: an index of recent changes",
    ),
    KeyRow(
        "{p}:{{R}}:checkpoint",
        "hash",
        "owner",
        "version, generation, owner, attempts, counters, last `seq` by producer",
    ),
    KeyRow("{p}:{{R}}:producers", "hash", "producers", "producer -> what it sent and dropped, and the time"),
    KeyRow(
        "{p}:{{R}}:changed",
        "sharded channel",
        "owner",
        "a change notification after each commit, as JSON: `generation`, `version`, changed `sections`, number of `followers`",
    ),
    KeyRow(
        "{p}:{{R}}:none",
        "never exists",
        "no client",
        "declared by each script, so that a cluster slot in migration refuses the script",
    ),
    KeyRow(
        "{p}:runs",
        "sorted set",
        "producers, workers",
        "run -> time of the last activity, server time in ms: the index of runs",
    ),
    KeyRow(
        "{p}:workers", "sorted set", "workers", "worker -> until when it counts as alive, server time in ms"
    ),
    KeyRow(
        "{p}:workers:state",
        "hash",
        "workers",
        "worker -> its status as JSON; see `sanctum workers`",
    ),
    KeyRow(
        "{p}:catalog", "hash", "workers", "`<TYPE>.<field>` -> unit, meaning and place of a declared field"
    ),
)
