"""Judgments of a server from its state. No I/O."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sanctum_bus.ops.doctor.findings import Verdict, fault, note, ok, warning
from sanctum_bus.protocol.acl import ROLES, Role

Number = tuple[int, ...]

#: Seconds by which two clocks may differ.
MOST_SKEW_S = 1.0

#: The slow log: milliseconds from which a command counts as slow, and seconds for which it is reported.
SLOW_MS, SLOW_FOR_S = 100.0, 3600.0


_CONFIG = "grant +config|get, or check its configuration"


class Version(NamedTuple):
    """Identity of a server.

    Args:
        name: redis or valkey.
        text: its version.
        refusal: its reply to a read-only script with flags, which are new in Redis 7.0; empty if it ran the
            script.
    """

    name: str
    text: str
    refusal: str

    @property
    def number(self) -> Number:
        """Return its version for comparisons."""
        return tuple(int(part) for part in self.text.split(".") if part.isdecimal())


class _Floor(NamedTuple):
    """A known weakness of Redis, from one version until the version that fixed it."""

    since: Number
    mended: Number
    what: str


_PATTERNS = "XREAD and XREADGROUP bypass the key patterns of users"
_FLOORS = (
    _Floor((7, 0), (7, 0, 5), "XAUTOCLAIM writes beyond its memory (CVE-2022-31144, CVE-2022-35951)"),
    _Floor((8, 2), (8, 2, 3), "XACKDEL lets users run code (CVE-2025-62507)"),
    _Floor((8, 2), (8, 2, 9), _PATTERNS),
    _Floor((8, 4), (8, 4, 6), _PATTERNS),
    _Floor((8, 6), (8, 6, 6), _PATTERNS),
    _Floor((8, 8), (8, 8, 2), _PATTERNS),
)


def version(seen: Version) -> list[Verdict]:
    """Judge the identity of a server."""
    server = f"{seen.name} {seen.text}"
    if seen.refusal:
        return [fault(f"{server} is too old: {seen.refusal}", "use Redis 7.0 or newer, or Valkey 8 or newer")]
    weak = [one for one in _FLOORS if seen.name == "redis" and one.since <= seen.number < one.mended]
    return [
        note(f"{server}: {one.what}", f"use {'.'.join(map(str, one.mended))} or newer") for one in weak
    ] or ok(server)


class Memory(NamedTuple):
    """The memory limit of a server.

    Args:
        limit: bytes that it may use; 0 for no limit.
    """

    policy: str
    limit: int


def eviction(seen: Memory) -> list[Verdict]:
    """Judge what a server does at its memory limit."""
    words = f"maxmemory-policy {seen.policy}"
    if not seen.policy.startswith("allkeys-"):
        return ok(words)
    remedy = "run CONFIG SET maxmemory-policy noeviction, and set it in the configuration file"
    if seen.limit:
        return [fault(f"{words}: at the memory limit it deletes streams and parts of snapshots", remedy)]
    return [warning(f"{words}: it deletes keys as soon as maxmemory is set", remedy)]


class Persistence(NamedTuple):
    """The persistence of a server.

    Args:
        append_only: whether it writes an append-only file; `append_status` is the result of the last write.
        save: when it writes snapshots; empty for never; None if unknown. `save_status` is the result of the
            last one.
    """

    append_only: bool
    append_status: str
    save: str | None
    save_status: str


def persistence(seen: Persistence) -> list[Verdict]:
    """Judge the persistence of a server."""
    found = []
    append = "set appendonly yes in its configuration, and run CONFIG SET appendonly yes"
    if seen.append_only and seen.append_status != "ok":
        found.append(
            fault(
                f"the append-only file cannot be written ({seen.append_status})",
                "check its disk and its log",
            )
        )
    if seen.save != "" and seen.save_status != "ok":
        found.append(
            warning(
                f"the last snapshot on disk failed ({seen.save_status}); it may refuse writes (MISCONF)",
                "check its disk and its log",
            )
        )
    if not seen.append_only and seen.save == "":
        found.append(fault("no persistence: a restart loses every run", append))
    elif not seen.append_only and seen.save is None:
        found.append(note("no append-only file; whether it writes snapshots is unknown", _CONFIG))
    elif not seen.append_only:
        found.append(warning("no append-only file: a crash loses everything since the last snapshot", append))
    return found or ok("append-only file" if seen.append_only else "snapshots")


class Replication(NamedTuple):
    """The replication of a server.

    Args:
        role: master or slave.
        states: states of its replicas.
        wanted: replicas without which it refuses writes; None if unknown.
    """

    role: str
    states: Sequence[str]
    wanted: int | None

    @property
    def good(self) -> int:
        """Return the number of connected replicas."""
        return sum(state == "online" for state in self.states)


def replicas(seen: Replication) -> list[Verdict]:
    """Judge the replication of a server."""
    if seen.role == "slave":
        return [
            fault("it is a replica: it refuses writes", "use the URL of its primary, or of the Sentinels")
        ]
    if seen.wanted and seen.good < seen.wanted:
        return [
            fault(
                f"{seen.good} of the {seen.wanted} replicas of min-replicas-to-write are connected: it refuses writes",
                "reconnect the replicas",
            )
        ]
    words = f"{seen.good} of {len(seen.states)} replicas connected" if seen.states else "no replicas"
    if seen.good < len(seen.states):
        return [warning(words, "read the logs of the other replicas")]
    if seen.states and seen.wanted is None:
        return [note(f"{words}; whether writes wait for them is unknown", _CONFIG)]
    if seen.states and seen.wanted == 0:
        return [
            note(
                f"{words}, and writes wait for none: a failover loses writes that were not replicated",
                "CONFIG SET min-replicas-to-write 1 limits the loss",
            )
        ]
    return ok(words)


class Rights(NamedTuple):
    """The permissions of the user.

    Args:
        user: its name.
        lacking: role -> the rules that the user lacks for it.
    """

    user: str
    lacking: Mapping[str, Sequence[str]]


def permissions(seen: Rights) -> list[Verdict]:
    """Judge the permissions: the user must fit a role; each role of which it has more than the common part is reported."""
    fits = [role for role in ROLES if not seen.lacking[role.name]]
    if not fits:
        return [fault(*_lacks(seen, min(ROLES, key=lambda role: len(seen.lacking[role.name]))))]
    covered = {rule for role in fits for rule in role.rules}
    meant = [role for role in ROLES if set(role.rules) - {*seen.lacking[role.name]} - covered]
    return [warning(*_lacks(seen, role)) for role in meant if role not in fits] or ok(
        f"user {seen.user} has the rights of a {', a '.join(role.name for role in fits)}"
    )


def _lacks(seen: Rights, role: Role) -> tuple[str, str]:
    rules = seen.lacking[role.name]
    named = (
        "+multi, without which the other rights cannot be checked"
        if "multi" in rules
        else " ".join(f"+{one}" for one in rules)
    )
    return (
        f"user {seen.user} as a {role.name} lacks {named}",
        f"ACL SETUSER {seen.user}: use the commands, keys and channels of {role.name} in config/users.acl",
    )


class Clock(NamedTuple):
    """The server's clock, read between two readings of this machine's clock; all in Unix seconds."""

    before: float
    server: float
    after: float


def clock(seen: Clock) -> list[Verdict]:
    """Judge the difference of the clocks, without the duration of the request."""
    skew = max(seen.before - seen.server, seen.server - seen.after, 0.0)
    if skew <= MOST_SKEW_S:
        return ok("clocks agree")
    which = "behind" if seen.server < seen.before else "ahead of"
    return [
        warning(
            f"its clock is {skew:,.1f} s {which} this machine's",
            "synchronize both machines with a time server",
        )
    ]


class Slow(NamedTuple):
    """One command of the slow log.

    Args:
        ago_s: seconds since it ran.
        ms: its duration in milliseconds.
    """

    ago_s: float
    ms: float
    command: str


def slow_log(seen: Sequence[Slow]) -> list[Verdict]:
    """Judge the recent slow commands."""
    found = [one for one in seen if one.ms >= SLOW_MS and one.ago_s <= SLOW_FOR_S]
    if not found:
        return ok("no recent slow commands")
    worst = max(found, key=lambda one: one.ms)
    return [
        note(
            f"commands of {SLOW_MS:,.0f} ms or more within the last hour: {len(found)}, the longest {worst.command} with {worst.ms:,.0f} ms"
            f"with {worst.ms:,.0f} ms",
            "run SLOWLOG GET; look for KEYS, large deletions, a busy disk",
        )
    ]


class Expiry(NamedTuple):
    """Keys of Sanctum that expire.

    Args:
        keys: some of them, with their remaining milliseconds.
        whole: whether all keys were checked.
    """

    keys: Sequence[tuple[str, int]]
    whole: bool = True


def expiry(seen: Expiry) -> list[Verdict]:
    """Judge expiring keys."""
    if seen.keys:
        key, left_ms = seen.keys[0]
        return [
            fault(
                f"keys that expire: {len(seen.keys)}; {key} in {left_ms / 1000:,.0f} s",
                "run PERSIST for each of them, and find the client that sets the expiry",
            )
        ]
    return (
        ok("no key expires")
        if seen.whole
        else [note("no key expires among the checked ones; the server has very many keys")]
    )
