"""What is wrong with a server, from what it says of itself. Nothing here does I/O."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sanctum_bus.ops.doctor.findings import Verdict, fault, note, ok, warning
from sanctum_bus.protocol.acl import ROLES, Role

Number = tuple[int, ...]

#: Seconds by which two clocks may differ.
MOST_SKEW_S = 1.0

#: Of the slow log: milliseconds from which a command is worth a word, and seconds for which it is.
SLOW_MS, SLOW_FOR_S = 100.0, 3600.0


_CONFIG = "grant +config|get, or look in its configuration"


class Version(NamedTuple):
    """What a server is.

    Args:
        name: redis or valkey.
        text: its version.
        refusal: what it said to a read-only script with flags, which are new in Redis 7.0; empty if it ran it.
    """

    name: str
    text: str
    refusal: str

    @property
    def number(self) -> Number:
        """Its version, to be compared."""
        return tuple(int(part) for part in self.text.split(".") if part.isdecimal())


class _Floor(NamedTuple):
    """A weakness of Redis: from one version until it was mended in another."""

    since: Number
    mended: Number
    what: str


_PATTERNS = "XREAD and XREADGROUP get past the key patterns of users"
_FLOORS = (
    _Floor((7, 0), (7, 0, 5), "XAUTOCLAIM writes past its memory (CVE-2022-31144, CVE-2022-35951)"),
    _Floor((8, 2), (8, 2, 3), "XACKDEL lets users run code (CVE-2025-62507)"),
    _Floor((8, 2), (8, 2, 9), _PATTERNS),
    _Floor((8, 4), (8, 4, 6), _PATTERNS),
    _Floor((8, 6), (8, 6, 6), _PATTERNS),
    _Floor((8, 8), (8, 8, 2), _PATTERNS),
)


def version(seen: Version) -> list[Verdict]:
    """Judge what a server is."""
    server = f"{seen.name} {seen.text}"
    if seen.refusal:
        return [fault(f"{server} is too old: {seen.refusal}", "use Redis 7.0 or newer, or Valkey 8 or newer")]
    weak = [one for one in _FLOORS if seen.name == "redis" and one.since <= seen.number < one.mended]
    return [
        note(f"{server}: {one.what}", f"use {'.'.join(map(str, one.mended))} or newer") for one in weak
    ] or ok(server)


class Memory(NamedTuple):
    """What a server does when it is full.

    Args:
        limit: bytes that it may use; 0: all there are.
    """

    policy: str
    limit: int


def eviction(seen: Memory) -> list[Verdict]:
    """Judge what a server does when it is full."""
    words = f"maxmemory-policy {seen.policy}"
    if not seen.policy.startswith("allkeys-"):
        return ok(words)
    remedy = "CONFIG SET maxmemory-policy noeviction, and in its configuration file"
    if seen.limit:
        return [fault(f"{words}: streams and parts of snapshots are thrown away once it is full", remedy)]
    return [warning(f"{words}: throws keys away as soon as somebody sets maxmemory", remedy)]


class Persistence(NamedTuple):
    """What a server keeps on disk.

    Args:
        append_only: it writes an append-only file; `append_status` is how that went last.
        save: when it writes snapshots; empty: never; None: it does not say. `save_status` is how that went last.
    """

    append_only: bool
    append_status: str
    save: str | None
    save_status: str


def persistence(seen: Persistence) -> list[Verdict]:
    """Judge what a server keeps on disk."""
    found = []
    append = "appendonly yes in its configuration, and CONFIG SET appendonly yes"
    if seen.append_only and seen.append_status != "ok":
        found.append(
            fault(
                f"the append-only file cannot be written ({seen.append_status})",
                "see to its disk; read its log",
            )
        )
    if seen.save != "" and seen.save_status != "ok":
        found.append(
            warning(
                f"the last snapshot on disk failed ({seen.save_status}); it may refuse writes (MISCONF)",
                "see to its disk; read its log",
            )
        )
    if not seen.append_only and seen.save == "":
        found.append(fault("nothing is kept on disk: a restart loses every run", append))
    elif not seen.append_only and seen.save is None:
        found.append(note("no append-only file, and it does not say whether it writes snapshots", _CONFIG))
    elif not seen.append_only:
        found.append(warning("no append-only file: a crash loses what came since the last snapshot", append))
    return found or ok("append-only file" if seen.append_only else "snapshots")


class Replication(NamedTuple):
    """How a server stands to its replicas.

    Args:
        role: master or slave.
        states: of its replicas.
        wanted: replicas without which it takes no writes; None: it does not say.
    """

    role: str
    states: Sequence[str]
    wanted: int | None

    @property
    def good(self) -> int:
        """Replicas that follow."""
        return sum(state == "online" for state in self.states)


def replicas(seen: Replication) -> list[Verdict]:
    """Judge how a server stands to its replicas."""
    if seen.role == "slave":
        return [fault("it is a replica: it takes no writes", "name its master, or the sentinels")]
    if seen.wanted and seen.good < seen.wanted:
        return [
            fault(
                f"{seen.good} of the {seen.wanted} replicas of min-replicas-to-write follow: it takes no writes",
                "bring the replicas back",
            )
        ]
    words = f"{seen.good} of {len(seen.states)} replicas follow" if seen.states else "no replicas"
    if seen.good < len(seen.states):
        return [warning(words, "read the logs of the others")]
    if seen.states and seen.wanted is None:
        return [note(f"{words}; it does not say whether writes wait for them", _CONFIG)]
    if seen.states and seen.wanted == 0:
        return [
            note(
                f"{words}, and writes wait for none: a failover loses what was not handed on",
                "CONFIG SET min-replicas-to-write 1 bounds it",
            )
        ]
    return ok(words)


class Rights(NamedTuple):
    """What the user may do.

    Args:
        user: its name.
        lacking: role to the rules that it would need besides.
    """

    user: str
    lacking: Mapping[str, Sequence[str]]


def permissions(seen: Rights) -> list[Verdict]:
    """Judge what the user may do: it must fit a role, and whoever may do more than that role needs has one more."""
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
        "+multi, without which the rest is not known"
        if "multi" in rules
        else " ".join(f"+{one}" for one in rules)
    )
    return (
        f"user {seen.user} as a {role.name} lacks {named}",
        f"ACL SETUSER {seen.user}: commands, keys and channels as {role.name} has them in config/users.acl",
    )


class Clock(NamedTuple):
    """The server's clock, between two looks at this machine's; all in Unix seconds."""

    before: float
    server: float
    after: float


def clock(seen: Clock) -> list[Verdict]:
    """Judge how far the clocks are apart; the way of the question does not count."""
    skew = max(seen.before - seen.server, seen.server - seen.after, 0.0)
    if skew <= MOST_SKEW_S:
        return ok("clocks agree")
    which = "behind" if seen.server < seen.before else "ahead of"
    return [
        warning(
            f"its clock is {skew:,.1f} s {which} this machine's", "let both machines follow a time server"
        )
    ]


class Slow(NamedTuple):
    """One command of the slow log.

    Args:
        ago_s: when it was.
        ms: how long it took.
    """

    ago_s: float
    ms: float
    command: str


def slow_log(seen: Sequence[Slow]) -> list[Verdict]:
    """Judge what took long of late."""
    found = [one for one in seen if one.ms >= SLOW_MS and one.ago_s <= SLOW_FOR_S]
    if not found:
        return ok("nothing slow of late")
    worst = max(found, key=lambda one: one.ms)
    return [
        note(
            f"commands that took {SLOW_MS:,.0f} ms or more within the hour: {len(found)}, the longest {worst.command} "
            f"with {worst.ms:,.0f} ms",
            "SLOWLOG GET; look for KEYS, large deletions, a busy disk",
        )
    ]


class Expiry(NamedTuple):
    """Keys of ours that go by themselves.

    Args:
        keys: some of them, with the milliseconds that they have left.
        whole: all keys were looked at.
    """

    keys: Sequence[tuple[str, int]]
    whole: bool = True


def expiry(seen: Expiry) -> list[Verdict]:
    """Judge keys that go by themselves."""
    if seen.keys:
        key, left_ms = seen.keys[0]
        return [
            fault(
                f"keys that expire: {len(seen.keys)}; {key} in {left_ms / 1000:,.0f} s",
                "PERSIST each of them, and find who sets the time",
            )
        ]
    return (
        ok("no key expires")
        if seen.whole
        else [note("no key expires among those looked at: there are very many")]
    )
