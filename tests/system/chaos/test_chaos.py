"""Exactly once on real processes: the short form of the chaos run, and that its judge sees what it has to see."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from redis import Redis

from sanctum_bus.protocol.keys import RunKeys
from tests.support.servers import Server
from tests.support.worker_rig import drain
from tests.system.chaos.battle import Plan, fight
from tests.system.chaos.figures import figures, percentile
from tests.system.chaos.schedule import Kind, Mishap, schedule
from tests.system.chaos.training import Order, Report, train
from tests.system.chaos.verify import judge, side_of
from tests.system.chaos.watch import Seen, Stall, Watch

#: Workers that notice a dead one soon, and so make the run short.
_QUICK: dict[str, object] = {
    "lease_s": 1.0,
    "heartbeat_interval_s": 0.1,
    "poll_timeout_ms": 200,
    "socket_timeout_s": 2.0,
}


#: The mishaps of the short form, by kind of servers; the long form has all of them.
_MISHAPS = {
    "standalone": (
        "worker killed",
        "worker frozen",
        "connections cut",
        "replies swallowed",
        "server killed and restarted",
        "server killed, tail of its file lost",
    ),
    "sentinel": ("worker killed", "worker frozen", "master killed"),
    "cluster": ("worker killed", "worker frozen", "slot of a run moved", "slot of the index moved"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("servers", _MISHAPS)
def test_whatever_happens_every_run_is_the_fold_of_its_stream(
    record_property: Callable[[str, object], None], servers: str
) -> None:
    """Everything that was acknowledged is in the snapshot once, but what the server lost itself.

    Workers are killed and frozen beyond their membership. One server behind a bad network is killed, and restarted
    with its append-only file, whole or not; a master that Sentinels watch is killed; slots of a cluster move.
    """
    plan = Plan(
        random.SystemRandom().randrange(1_000_000),
        servers,
        seconds=1.5 * len(_MISHAPS[servers]),
        events=1_000 * len(_MISHAPS[servers]),
        runs=6,
        workers=3,
        publishers=2,
        settings=_QUICK,
        only=_MISHAPS[servers],
        measured=False,
    )
    outcome = fight(plan)
    report = figures(outcome)
    record_property("figures", report)

    assert not outcome.problems, report
    assert outcome.total.acknowledged >= plan.events
    assert len(outcome.mishaps) == len(plan.only)


@pytest.fixture(name="told")
def _told(valkey: Server) -> list[Report]:
    """One run that was published by two producers and folded."""
    order = Order(valkey.url, ["r"], 500, 0.1)
    reports = train(order) + train(order)
    drain(valkey)
    return reports


def _tamper_section(client: "Redis", keys: RunKeys) -> None:
    client.hset(keys.section("run"), "event.n_envs", "77")


def _tamper_counter(client: "Redis", keys: RunKeys) -> None:
    client.hincrby(keys.checkpoint, "events", 1)


def _lose_an_entry(client: "Redis", keys: RunKeys) -> None:
    client.xtrim(keys.events, maxlen=999, approximate=False)


def _add_an_entry(client: "Redis", keys: RunKeys) -> None:
    client.xadd(keys.events, {"type": "X", "producer": "nobody", "seq": 1, "json": "{}"})


@pytest.mark.parametrize("damage", [_tamper_section, _tamper_counter, _lose_an_entry, _add_an_entry])
def test_the_judge_sees_what_is_not_the_fold(
    valkey: Server, told: list[Report], damage: Callable[["Redis", RunKeys], None]
) -> None:
    """A section, a count, an entry: each difference is a problem, and without any there is none."""
    client = valkey.client()
    assert judge(side_of(client, "r"), told).problems == ()

    damage(client, RunKeys("r"))

    assert judge(side_of(client, "r"), told).problems


def test_the_judge_counts_what_was_acknowledged_and_is_not_there(valkey: Server, told: list[Report]) -> None:
    """Events that the server acknowledged and no longer has are lost, at any place of the producer's numbers."""
    first, second = told
    verdict = judge(side_of(valkey.client(), "r"), told)
    assert (verdict.lost, verdict.acknowledged, verdict.arrived, verdict.twice) == (0, 1000, 1000, 0)

    more = [replace(first, emitted=first.emitted + 3, sent=first.sent + 3), second]
    assert judge(side_of(valkey.client(), "r"), more).lost == 3


def test_the_judge_counts_what_was_folded_twice(valkey: Server, told: list[Report]) -> None:
    """More events than numbers is what a second fold of one event would look like."""
    client = valkey.client()
    client.hincrby(RunKeys("r").checkpoint, "events", 2)

    assert judge(side_of(client, "r"), told).twice == 2


def test_a_stall_lasts_until_the_version_moves() -> None:
    """A run that has read all there is does not stall; one that has not does so until its next commit."""
    watch = Watch(Redis, ["r"])
    looks = [
        (0.0, Seen("1-0", "1-0", "7", "w")),
        (1.0, Seen("2-0", "1-0", "7", "w")),
        (2.0, Seen("3-0", "1-0", "8", "w")),
        (4.0, Seen("3-0", "2-0", "8", "w")),
        (5.0, Seen("3-0", "3-0", "8", "w")),
    ]
    for now, seen in looks:
        watch.note("r", seen, now)

    assert watch.stalls == [Stall("r", 1.0, 3.0), Stall("r", 4.0, 1.0)]
    assert watch.take_overs == 2


def test_the_99th_percentile_is_one_of_time() -> None:
    """Of 1,000 s a stall of 15 s is beyond 5 s for 10 s; two that are shorter change nothing."""
    assert percentile([15.0, 3.0, 4.0], 1000.0, 0.99) == pytest.approx(5.0)
    assert percentile([10.0, 10.0], 1000.0, 0.99) == pytest.approx(5.0)
    assert percentile([9.0], 1000.0, 0.99) == 0.0


def test_a_seed_is_the_same_schedule_again_and_leaves_nothing_out() -> None:
    """A run can be had again, and no kind of mishap is left to luck."""

    def drawn() -> list[Mishap]:
        kinds = {name: Kind(lambda _: print, 1.0, 2.0) for name in "abcde"}
        return schedule(random.Random(7), kinds, 60.0, 12)  # noqa: S311  # a seed must lead to the same

    assert drawn() == drawn()
    assert {mishap.kind for mishap in drawn()} == set("abcde")
