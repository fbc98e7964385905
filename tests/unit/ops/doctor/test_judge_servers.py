"""Judgments of states that no real server has in a test."""

import pytest

from sanctum_bus.ops.doctor import judge_servers
from sanctum_bus.ops.doctor.findings import Level
from sanctum_bus.ops.doctor.judge_servers import Clock, Expiry, Persistence, Replication, Slow, Version


@pytest.mark.parametrize(
    ("name", "number", "mended"),
    [
        ("redis", "7.0.4", ["7.0.5"]),
        ("redis", "7.0.5", []),
        ("redis", "8.2.2", ["8.2.3", "8.2.9"]),
        ("redis", "8.2.9", []),
        ("redis", "8.4.5", ["8.4.6"]),
        ("redis", "8.6.5", ["8.6.6"]),
        ("redis", "8.8.1", ["8.8.2"]),
        ("redis", "8.10.0", []),
        ("valkey", "8.2.2", []),
    ],
)
def test_known_weaknesses(name: str, number: str, mended: list[str]) -> None:
    """Each weakness is reported from the version that has it to the version before the fix, and for Redis only."""
    found = judge_servers.version(Version(name, number, ""))

    assert [one.remedy for one in found if one.level is Level.NOTE] == [
        f"use {one} or newer" for one in mended
    ]


@pytest.mark.parametrize(
    ("clock", "words"),
    [
        (Clock(100.0, 100.2, 100.4), "clocks agree"),
        (Clock(100.0, 99.5, 100.4), "clocks agree"),
        (Clock(100.0, 160.4, 100.4), "its clock is 60.0 s ahead of this machine's"),
        (Clock(100.0, 40.0, 160.0), "its clock is 60.0 s behind this machine's"),
        # A slow reply is not a difference of the clocks.
        (Clock(100.0, 129.0, 130.0), "clocks agree"),
    ],
)
def test_clocks(clock: Clock, words: str) -> None:
    """A difference of the clocks is a warning with its size; the duration of the request does not count."""
    (verdict,) = judge_servers.clock(clock)

    assert verdict.seen == words
    assert verdict.level is (Level.OK if words == "clocks agree" else Level.WARNING)


@pytest.mark.parametrize(
    ("seen", "levels"),
    [
        (Persistence(True, "ok", "", "ok"), [Level.OK]),
        (Persistence(True, "err", "", "ok"), [Level.FAULT]),
        (Persistence(True, "ok", "", "err"), [Level.OK]),
        (Persistence(True, "ok", "3600 1", "err"), [Level.WARNING]),
        (Persistence(False, "ok", "3600 1", "ok"), [Level.WARNING]),
        (Persistence(False, "ok", None, "ok"), [Level.NOTE]),
        (Persistence(False, "ok", "", "ok"), [Level.FAULT]),
    ],
)
def test_persistence(seen: Persistence, levels: list[Level]) -> None:
    """A file that cannot be written and nothing at all are faults; snapshots alone are a warning."""
    assert [one.level for one in judge_servers.persistence(seen)] == levels


@pytest.mark.parametrize(
    ("seen", "level"),
    [
        (Replication("master", [], 0), Level.OK),
        (Replication("master", [], None), Level.OK),
        (Replication("master", ["online"], 1), Level.OK),
        (Replication("master", ["online"], 0), Level.NOTE),
        (Replication("master", ["online"], None), Level.NOTE),
        (Replication("master", ["online", "wait_bgsave"], 1), Level.WARNING),
        (Replication("master", ["wait_bgsave"], 1), Level.FAULT),
        (Replication("slave", [], 0), Level.FAULT),
    ],
)
def test_replicas(seen: Replication, level: Level) -> None:
    """A server that takes no writes is a fault, a replica that does not follow a warning, loss in a failover a note."""
    assert [one.level for one in judge_servers.replicas(seen)] == [level]


def test_the_slow_log() -> None:
    """Old and fast commands are not reported; of the others the longest is named."""
    assert judge_servers.slow_log([Slow(4000, 900, "KEYS"), Slow(10, 90, "EVAL")])[0].level is Level.OK

    (verdict,) = judge_servers.slow_log(
        [Slow(4000, 900, "KEYS"), Slow(10, 200, "DEL"), Slow(10, 120, "EVAL")]
    )

    assert "2, the longest DEL with 200 ms" in verdict.seen


def test_not_all_keys_were_looked_at() -> None:
    """If there are too many keys to check all of them, the verdict states it."""
    assert judge_servers.expiry(Expiry([], whole=False))[0].level is Level.NOTE
    assert judge_servers.expiry(Expiry([("a", 5)], whole=False))[0].level is Level.FAULT
