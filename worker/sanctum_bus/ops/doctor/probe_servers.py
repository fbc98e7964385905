"""What is asked of one server. What the server says to it is judged elsewhere."""

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

#: Keys of one server that are looked at for expiry, and in one round trip.
_MOST_KEYS, _SLICE = 100_000, 1000

#: Entries of the slow log that are looked at.
_SLOW_ENTRIES = 128

#: The run whose keys stand in the samples of calls: it does not exist.
_NOBODY = "doctor"

#: What frames a transaction, its end first: where none has begun it does nothing.
_FRAME = ("EXEC", "MULTI")


def version(server: redis.Redis, _prefix: str) -> Version:
    """Ask what it is."""
    info = _info(server, "server")
    refusal = ""
    try:
        server.execute_command(*PROBE)
    except NoPermissionError:
        # What the user may is asked elsewhere.
        refusal = ""
    except ResponseError as error:
        refusal = str(error)
    if "valkey_version" in info:
        return Version("valkey", str(info["valkey_version"]), refusal)
    return Version(str(info.get("server_name", "redis")), str(info.get("redis_version", "?")), refusal)


def memory(server: redis.Redis, _prefix: str) -> Memory:
    """Ask what it does when it is full."""
    info = _info(server, "memory")
    return Memory(str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0)))


def persistence(server: redis.Redis, _prefix: str) -> Persistence:
    """Ask what it keeps on disk."""
    info = _info(server, "persistence")
    return Persistence(
        bool(info.get("aof_enabled")),
        str(info.get("aof_last_write_status", "ok")),
        _configured(server, "save"),
        str(info.get("rdb_last_bgsave_status", "ok")),
    )


def replication(server: redis.Redis, _prefix: str) -> Replication:
    """Ask how it stands to its replicas."""
    info = _info(server, "replication")
    states = [str(info[f"slave{number}"]["state"]) for number in range(int(info.get("connected_slaves", 0)))]
    wanted = _configured(server, "min-replicas-to-write")
    return Replication(str(info.get("role", "master")), states, None if wanted is None else int(wanted))


def clock(server: redis.Redis, _prefix: str) -> Clock:
    """Ask what time it is."""
    before = time.time()
    seconds, microseconds = server.time()
    return Clock(before, seconds + microseconds / 1e6, time.time())


def slow_log(server: redis.Redis, _prefix: str) -> list[Slow]:
    """Ask what took long."""
    entries = server.slowlog_get(_SLOW_ENTRIES)
    now = server.time()[0]
    return [
        Slow(now - entry["start_time"], entry["duration"] / 1000, entry["command"].split()[0].decode())
        for entry in entries
        if entry["command"]
    ]


def expiry(server: redis.Redis, prefix: str) -> Expiry:
    """Ask which of our keys go by themselves."""
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
    """Ask what the user may do: by calls that are never carried out, or that change nothing."""
    try:
        user = str(server.acl_whoami())
    except ResponseError:
        user = str(server.connection_pool.connection_kwargs.get("username") or "default")
    run = RunKeys(_NOBODY, prefix)
    return Rights(user, {role.name: _lacking(server, role, run) for role in ROLES})


def _lacking(server: redis.Redis, role: Role, run: RunKeys) -> list[str]:
    """Return the rules that a role needs and the user has not.

    Rights are checked when a call is put into a transaction, and this one is never executed. Where the user has no
    transactions the calls of a role that has none either are made: they change nothing. Of another role nothing is
    known then, and it lacks all.
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
        # EXEC hides the reason in its own; whatever else a server says, it has looked at the rights before.
        return isinstance(error, NoPermissionError) or "NOPERM" in str(error)
    return False


def _info(server: redis.Redis, section: str) -> dict[str, Any]:
    return server.info(section)


def _configured(server: redis.Redis, name: str) -> str | None:
    """Return a value of the server's configuration; None where it does not say."""
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
