"""Every check, in the order of the report: what it looks at, why that matters, and what to do."""

from collections.abc import Callable
from typing import Any, NamedTuple

import redis

from sanctum_bus.ops.doctor import judge_runs, judge_servers, probe_servers
from sanctum_bus.ops.doctor.findings import Verdict


class ServerCheck(NamedTuple):
    """One check of each server that holds keys.

    Args:
        why: the consequence of a failed check.
        remedy: the remedy, as the documentation has it.
        ask: client of one server and key prefix -> data.
        judge: data -> verdicts.
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
        "server name and version, known vulnerabilities, and whether it runs a read-only script with flags",
        "older servers lack features that commits need",
        "use Redis 7.0 or newer, or Valkey 8 or newer",
        probe_servers.version,
        judge_servers.version,
    ),
    ServerCheck(
        "eviction",
        "`maxmemory-policy`",
        "eviction deletes whole streams or parts of snapshots",
        "set `maxmemory-policy noeviction`",
        probe_servers.memory,
        judge_servers.eviction,
    ),
    ServerCheck(
        "persistence",
        "the append-only file and RDB snapshots, and whether the last write succeeded",
        "data that is not on disk is lost when the process ends",
        "set `appendonly yes`; free disk space",
        probe_servers.persistence,
        judge_servers.persistence,
    ),
    ServerCheck(
        "replicas",
        "the server's role, its replicas, and `min-replicas-to-write`",
        "replication is asynchronous: a failover loses unreplicated writes",
        "set `min-replicas-to-write 1` if there are replicas",
        probe_servers.replication,
        judge_servers.replicas,
    ),
    ServerCheck(
        "permissions",
        "whether the user has all permissions of a publisher, a worker or a reader; the check writes nothing",
        "a rejected command stops every attempt to process a run",
        "use the users in `config/users.acl`",
        probe_servers.rights,
        judge_servers.permissions,
    ),
    ServerCheck(
        "clock",
        "the clocks of the server and of this machine",
        "ages, rates and silence are computed from both clocks",
        "synchronize both clocks with NTP",
        probe_servers.clock,
        judge_servers.clock,
    ),
    ServerCheck(
        "slow log",
        "commands that took 100 ms or more within the last hour",
        "a running command blocks all others",
        "run `SLOWLOG GET`; look for `KEYS`, large deletions, a busy disk",
        probe_servers.slow_log,
        judge_servers.slow_log,
    ),
    ServerCheck(
        "expiry",
        "whether any Sanctum key has a TTL",
        "an expired key removes a part of a snapshot",
        "run `PERSIST`; stop the client that sets the TTL",
        probe_servers.expiry,
        judge_servers.expiry,
    ),
)

RUN_CHECKS = (
    RunCheck(
        "types",
        "the types of the keys of each run, and of the shared keys",
        "every command that uses the key fails with WRONGTYPE",
        "run `sanctum rebuild RUN`; if another program writes the key, rename it, and Sanctum recreates it",
        judge_runs.types,
    ),
    RunCheck(
        "owner",
        "whether each run with unread entries has a live owner",
        "the snapshot does not change",
        "start `sanctum worker`; read the logs of the running workers",
        judge_runs.owner,
    ),
    RunCheck(
        "commit",
        "whether the last commit completed",
        "sections may contradict each other",
        "none: a worker rebuilds the run automatically",
        judge_runs.whole,
    ),
    RunCheck(
        "group",
        "whether the consumer group exists and has one consumer",
        "a second consumer steals entries and forces the owner to reload",
        "give other clients a separate consumer group, or use `XREAD`",
        judge_runs.group,
    ),
    RunCheck(
        "lag",
        "age of the first unread entry",
        "readers see old data; unread entries that a stream drops are lost",
        "add workers; read the owner's log",
        judge_runs.lag,
    ),
    RunCheck(
        "pending",
        "entries that were delivered to a worker that is gone, and not committed",
        "no snapshot contains them yet",
        "start `sanctum worker`; it reads them again",
        judge_runs.pending,
    ),
    RunCheck(
        "parked",
        "entries that could not be folded",
        "the snapshot lacks their content",
        "run `sanctum dead-letters RUN`; rebuild if it recommends it, else fix the cause, then `--requeue` or `--delete`",
        judge_runs.parked,
    ),
    RunCheck(
        "lost",
        "events that never arrived, by reason",
        "the snapshot lacks these events",
        "see [Guarantees](../guarantees.md#what-is-counted); `sanctum rebuild` if the stream still has them, `sanctum rm` after the run ends",
        judge_runs.lost,
    ),
    RunCheck(
        "index",
        "whether the run is in the run index",
        "workers find the run only by a slow scan",
        "publish with `Publisher`, or keep `scan_interval_s` above 0",
        judge_runs.registered,
    ),
)
