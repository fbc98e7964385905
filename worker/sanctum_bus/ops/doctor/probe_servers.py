"""Reading the state of one server. Other modules judge it."""

import time
from collections.abc import Iterator
from typing import Any, cast

import redis
from redis.exceptions import NoPermissionError, ResponseError

from sanctum_bus.connection import PROBE
from sanctum_bus.ops.doctor.judge_servers import (
    Clock,
    Expiry,
    Memory,
    Persistence,
    Replication,
    Rights,
    Slow,
    Version,
)
from sanctum_bus.protocol.acl import ROLES, Role, call_of, rule_of
from sanctum_bus.protocol.keys import RunKeys

#: Keys of one server to check for expiry, in total and in one round trip.
_MOST_KEYS, _SLICE = 100_000, 1000

#: Entries of the slow log to read.
_SLOW_ENTRIES = 128

#: The run whose keys the sample calls use: it does not exist.
_NOBODY = "doctor"

#: The commands that frame a transaction, the end first: without a transaction it has no effect.
_FRAME = ("EXEC", "MULTI")


def version(server: redis.Redis, _prefix: str) -> Version:
    """Read the identity."""
    info = _info(server, "server")
    refusal = ""
    try:
        server.execute_command(*PROBE)
    except NoPermissionError:
        # Permissions are read elsewhere.
        refusal = ""
    except ResponseError as error:
        refusal = str(error)
    if "valkey_version" in info:
        return Version("valkey", str(info["valkey_version"]), refusal)
    return Version(str(info.get("server_name", "redis")), str(info.get("redis_version", "?")), refusal)


def memory(server: redis.Redis, _prefix: str) -> Memory:
    """Read the memory limit."""
    info = _info(server, "memory")
    return Memory(str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0)))


def persistence(server: redis.Redis, _prefix: str) -> Persistence:
    """Read the persistence."""
    info = _info(server, "persistence")
    return Persistence(
        bool(info.get("aof_enabled")),
        str(info.get("aof_last_write_status", "ok")),
        _configured(server, "save"),
        str(info.get("rdb_last_bgsave_status", "ok")),
    )


def replication(server: redis.Redis, _prefix: str) -> Replication:
    """Read the replication."""
    info = _info(server, "replication")
    states = [str(info[f"slave{number}"]["state"]) for number in range(int(info.get("connected_slaves", 0)))]
    wanted = _configured(server, "min-replicas-to-write")
    return Replication(str(info.get("role", "master")), states, None if wanted is None else int(wanted))


def clock(server: redis.Redis, _prefix: str) -> Clock:
    """Read the clock."""
    before = time.time()
    seconds, microseconds = server.time()
    return Clock(before, seconds + microseconds / 1e6, time.time())


def slow_log(server: redis.Redis, _prefix: str) -> list[Slow]:
    """Read the slow log."""
    entries = server.slowlog_get(_SLOW_ENTRIES)
    now = server.time()[0]
    return [
        Slow(now - entry["start_time"], entry["duration"] / 1000, entry["command"].split()[0].decode())
        for entry in entries
        if entry["command"]
    ]


def expiry(server: redis.Redis, prefix: str) -> Expiry:
    """Read which keys of Sanctum expire."""
    database = server.connection_pool.connection_kwargs.get("db", 0)
    if not _info(server, "keyspace").get(f"db{database}", {}).get("expires"):
        return Expiry([])
    found, looked = [], 0
    for some in _slices(server, f"{prefix}:*"):
        looked += len(some)
        pipeline = server.pipeline(transaction=False)
        for key in some:
            pipeline.pttl(key)
        left = pipeline.execute()
        found += [(key.decode("utf-8", "replace"), ms) for key, ms in zip(some, left, strict=True) if ms >= 0]
        if looked >= _MOST_KEYS:
            return Expiry(found, whole=False)
    return Expiry(sorted(found, key=lambda one: one[1]))


def rights(server: redis.Redis, prefix: str) -> Rights:
    """Find the permissions of the user, by calls that are never executed or that change nothing."""
    try:
        user = str(server.acl_whoami())
    except ResponseError:
        user = str(server.connection_pool.connection_kwargs.get("username") or "default")
    run = RunKeys(_NOBODY, prefix)
    return Rights(user, {role.name: _lacking(server, role, run) for role in ROLES})


def _lacking(server: redis.Redis, role: Role, run: RunKeys) -> list[str]:
    """Return the rules that a role needs and the user lacks.

    A server checks permissions when a call is queued in a transaction, and this transaction is never
    executed. If the user may not use transactions, the calls of a role that needs none are executed: they
    change nothing. For any other role nothing is known then, and every rule counts as lacking.
    """
    connection = server.connection_pool.get_connection()
    try:
        refused = [word for word in _FRAME if _is_refused(connection, [word])]
        if "MULTI" in refused and "MULTI" in role.samples:
            return list(role.rules)
        calls = [sample for sample in role.samples if sample not in _FRAME]
        refused = [word for word in refused if word in role.samples]
        refused += [sample for sample in calls if _is_refused(connection, call_of(sample, run))]
        return [rule_of(sample) for sample in refused]
    finally:
        connection.disconnect()
        server.connection_pool.release(connection)


def _is_refused(connection: Any, call: list[str]) -> bool:
    connection.send_command(*call)
    try:
        connection.read_response()
    except ResponseError as error:
        # EXEC hides the reason inside its reply. Any other error means that the permissions were checked
        # before.
        return isinstance(error, NoPermissionError) or "NOPERM" in str(error)
    return False


def _info(server: redis.Redis, section: str) -> dict[str, Any]:
    return server.info(section)


def _configured(server: redis.Redis, name: str) -> str | None:
    """Return a value of the server's configuration; None if it cannot be read."""
    try:
        return cast("dict[str, str]", server.config_get(name)).get(name)
    except ResponseError:
        return None


def _slices(server: redis.Redis, pattern: str) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    for key in server.scan_iter(match=pattern, count=_SLICE):
        some.append(key)
        if len(some) == _SLICE:
            yield some
            some = []
    if some:
        yield some
