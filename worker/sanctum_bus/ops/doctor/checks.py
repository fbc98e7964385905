"""Every check, in the order of the report: what it looks at, why that matters, and what to do."""

from collections.abc import Callable
from typing import Any, NamedTuple

import redis

from sanctum_bus.ops.doctor import judge_runs, judge_servers, probe_servers
from sanctum_bus.ops.doctor.findings import Verdict


class ServerCheck(NamedTuple):
    """One check of each server that holds keys.

    Args:
        why: what happens where it fails.
        remedy: what to do then, as the documentation has it.
        ask: the client of one server and the prefix of keys -> what was found.
        judge: what was found -> what that comes to.
    """

    name: str
    looks_at: str
    why: str
    remedy: str
    ask: Callable[[redis.Redis, str], Any]
    judge: Callable[[Any], list[Verdict]]


class RunCheck(NamedTuple):
    """One check of each run; see `ServerCheck`."""

    name: str
    looks_at: str
    why: str
    remedy: str
    judge: Callable[[judge_runs.Run], list[Verdict]]


SERVER_CHECKS = (
    ServerCheck(
        "version",
        "name and version of the server, known weaknesses, and whether it runs a read-only script with flags",
        "older servers lack what commits are made of",
        "Redis 7.0 or newer, or Valkey 8 or newer",
        probe_servers.version,
        judge_servers.version,
    ),
    ServerCheck(
        "eviction",
        "`maxmemory-policy`",
        "an evicted key is a stream, or a part of a snapshot",
        "`maxmemory-policy noeviction`",
        probe_servers.memory,
        judge_servers.eviction,
    ),
    ServerCheck(
        "persistence",
        "the append-only file and snapshots, and whether they could be written",
        "what is not on disk goes with the process",
        "`appendonly yes`, and room on the disk",
        probe_servers.persistence,
        judge_servers.persistence,
    ),
    ServerCheck(
        "replicas",
        "the server's role, its replicas, and `min-replicas-to-write`",
        "replication does not wait: a failover loses what was not handed on",
        "`min-replicas-to-write 1` where there are replicas",
        probe_servers.replication,
        judge_servers.replicas,
    ),
    ServerCheck(
        "permissions",
        "whether the user may do all that a publisher, a worker or a reader does; nothing is written for it",
        "a command that is refused stops a run half-way, again and again",
        "the users of `config/users.acl`",
        probe_servers.rights,
        judge_servers.permissions,
    ),
    ServerCheck(
        "clock",
        "the server's clock and this machine's",
        "ages, rates and what counts as silent compare times of both",
        "a time server for both",
        probe_servers.clock,
        judge_servers.clock,
    ),
    ServerCheck(
        "slow log",
        "commands of the last hour that took 100 ms or more",
        "while one command runs all others wait",
        "`SLOWLOG GET`: look for `KEYS`, large deletions, a busy disk",
        probe_servers.slow_log,
        judge_servers.slow_log,
    ),
    ServerCheck(
        "expiry",
        "whether any key of Sanctum's expires",
        "a key that goes by itself takes a part of a snapshot with it",
        "`PERSIST`, and an end to whoever sets the time",
        probe_servers.expiry,
        judge_servers.expiry,
    ),
)

RUN_CHECKS = (
    RunCheck(
        "types",
        "the types of the keys of each run, and of those of all runs",
        "whoever needs the key is refused, again and again",
        "`sanctum rebuild RUN`; where somebody else writes the key: rename it away, and it is made again",
        judge_runs.types,
    ),
    RunCheck(
        "owner",
        "whether a worker that is alive folds each run that has unread entries",
        "its snapshot stands still",
        "`sanctum worker`; the logs of those that run",
        judge_runs.owner,
    ),
    RunCheck(
        "commit",
        "whether the last commit went through",
        "sections may contradict each other",
        "none: a worker folds the run anew",
        judge_runs.whole,
    ),
    RunCheck(
        "group",
        "the consumer group: that it is there, and has one consumer",
        "who else reads with it takes entries away from the owner, which has to start over",
        "a group of his own for everybody else, or `XREAD`",
        judge_runs.group,
    ),
    RunCheck(
        "lag",
        "how long the first unread entry has waited",
        "readers see the past; what a stream drops unread is lost",
        "more workers; the owner's log",
        judge_runs.lag,
    ),
    RunCheck(
        "pending",
        "entries that were delivered and not committed, and whose reader is gone",
        "they are in no snapshot yet",
        "`sanctum worker`: it reads them again",
        judge_runs.pending,
    ),
    RunCheck(
        "parked",
        "entries that could not be folded",
        "what they say is in no snapshot",
        "`sanctum dead RUN`: `sanctum rebuild RUN` where it says so; else mend the cause, then `--requeue` or `--drop`",
        judge_runs.parked,
    ),
    RunCheck(
        "lost",
        "events that never arrived, by reason",
        "the snapshot lacks them",
        "see [Guarantees](guarantees.md); `sanctum rebuild` where the stream still has them, `sanctum rm` once the run is over",
        judge_runs.lost,
    ),
    RunCheck(
        "index",
        "whether the run is in the index of runs",
        "workers find it only by a slow scan",
        "publish with `Publisher`, or leave `scan_interval_s` above 0",
        judge_runs.registered,
    ),
)


def as_markdown() -> str:
    """Return the table of checks as the documentation shows it."""
    rows = ["| check | looks at | why | remedy |", "|---|---|---|---|"]
    rows += [
        f"| {one.name} | {one.looks_at} | {one.why} | {one.remedy} |" for one in (*SERVER_CHECKS, *RUN_CHECKS)
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    print(as_markdown())  # noqa: T201  # this is what running the module is for
