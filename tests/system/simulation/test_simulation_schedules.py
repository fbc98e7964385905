"""The schedules that broke an earlier draft of the commit, each replayed without other faults."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest

from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.worker import membership
from sanctum_bus.worker.membership import Membership
from tests.system.simulation.accounts import judge_publisher
from tests.system.simulation.network import Weather
from tests.system.simulation.patches import patched
from tests.system.simulation.profiles import Profile
from tests.system.simulation.replies import ReplyError
from tests.system.simulation.streams import Stream
from tests.system.simulation.world import World

RUN = "r0"
EVENTS = RunKeys(RUN).events.encode()

Story = Callable[[World], Awaitable[None]]

QUIET = Profile(faults={"storm": 1}, weather=Weather(), publishers=0, hands=0, poison=0.0, patience_s=20.0)


def play(story: Story, profile: Profile = QUIET, seed: int = 0) -> World:
    """Play a story with its workers, check that everything is folded in the end, and return the world."""
    world = World(seed, profile)

    async def work() -> None:
        for _ in range(profile.workers):
            world.start_worker()
        world.add_by_hand(RUN)
        await asyncio.sleep(1.0)
        await story(world)
        world.end_faults()
        await world._settled()
        world._judge()

    with patched(world):
        try:
            world.loop.run(work())
        finally:
            world.loop.bury()
    return world


def test_a1_no_commit_is_refused_however_fast_entries_come() -> None:
    """At 2,000 events a second no commit is refused: no read is under way while a commit is."""

    async def story(world: World) -> None:
        for _ in range(1000):
            world.add_by_hand(RUN)
            await asyncio.sleep(0.001)

    world = play(story)

    assert world.oracle.refused == {}
    assert len(world.oracle.histories[RUN].folded) == 2002


@pytest.mark.parametrize("seed", range(6))
def test_a3_batches_stay_in_order_while_a_server_is_now_full_and_now_not(seed: int) -> None:
    """No event counts as a duplicate because a later one came first."""

    async def story(world: World) -> None:
        world._start_publishers(RUN)
        while not world._all_done():
            world.model.refusing = "" if world.model.refusing else "OOM"
            await asyncio.sleep(world.chance.random() * 0.02)

    play(story, dataclasses.replace(QUIET, publishers=2, pace_s=0.002), seed)


@pytest.mark.parametrize("seed", range(6))
def test_a5_what_is_stolen_at_the_end_of_a_stream_is_folded(seed: int) -> None:
    """An ownership check detects stolen entries, whether the other consumer acknowledged them or not."""

    async def story(world: World) -> None:
        world.chaos._do_rob(RUN)

    assert len(play(story, seed=seed).oracle.histories[RUN].folded) == 4


@pytest.mark.parametrize("hand", ["hand_ack", "hand_delconsumer", "hand_setid_back", "hand_destroy", "thief"])
def test_a6_a_hand_in_the_group_costs_nothing(hand: str) -> None:
    """The checkpoint is the truth, not the pending list: a group that is created again delivers every entry again."""

    async def story(world: World) -> None:
        for _ in range(30):
            world.add_by_hand(RUN)
            await asyncio.sleep(world.chance.random() * 0.01)
            world.chaos.do(hand)

    with mock.patch.object(World, "skip"):
        world = play(
            story, dataclasses.replace(QUIET, settings={"commit_max_entries": 1, "read_batch_size": 1})
        )

    assert len(world.oracle.histories[RUN].folded) == 62


def test_a12_a_late_commit_of_the_same_owner_is_fenced() -> None:
    """The generation refuses a commit whose bytes arrive after the owner has restarted the run."""
    generations = 0
    for seed in range(10):

        async def story(world: World) -> None:
            for _ in range(4):
                world.add_by_hand(RUN)
                world.network.weather = Weather(0.0, 0.0, 0.6, 0.002)
                await asyncio.sleep(0.2)
                world.network.weather = Weather()
                await asyncio.sleep(3.0)

        generations += play(story, seed=seed).oracle.refused.get("generation", 0)

    assert generations


@pytest.mark.parametrize("seed", range(6))
def test_a13_what_was_sent_is_not_dropped(seed: int) -> None:
    """Replies are lost and the buffer is full: an event that may have arrived stays until it is accepted."""

    async def story(world: World) -> None:
        world._start_publishers(RUN)
        while not world._all_done():
            world.network.weather = Weather(0.0, 0.3, 0.3, 0.01)
            await asyncio.sleep(0.3)
            world.network.weather = Weather()
            await asyncio.sleep(0.05)

    world = play(story, dataclasses.replace(QUIET, publishers=1, buffer_events=5, pace_s=0.01), seed)

    stream = world.model.keys[EVENTS]
    assert isinstance(stream, Stream)
    assert world.publishers[0].buffer.counts.dropped
    judge_publisher(world.publishers[0], stream, set())


def test_a15_three_workers_that_are_all_sure() -> None:
    """Three workers acquire the run from one another, with growing pauses, and it continues."""

    async def story(world: World) -> None:
        for _ in range(40):
            world.add_by_hand(RUN)
            await asyncio.sleep(0.05)

    async def mine(_self: Membership, _run_id: str) -> bool:
        return True

    with (
        mock.patch.object(membership, "share_of", lambda _worker, runs, _workers: set(runs)),
        mock.patch.object(Membership, "still_mine", mine),
    ):
        world = play(story, dataclasses.replace(QUIET, workers=3))

    assert len(world.oracle.histories[RUN].folded) == 82


def test_a7_an_index_that_goes_under_a_working_owner_is_noticed() -> None:
    """Without the index, unchanged sections would be missing from the view, and no acquisition would detect it."""

    async def story(world: World) -> None:
        world.scar(RUN, checkpoint=False)
        del world.model.keys[RunKeys(RUN).sections.encode()]
        world.add_by_hand(RUN)
        await asyncio.sleep(1.0)

    play(story)


def test_trouble_while_a_run_falls_asleep_ends_no_worker() -> None:
    """A failure while a run becomes idle ends no worker: it tries again when the server has loaded its data."""

    async def story(world: World) -> None:
        real = world.model.perform

        def perform(arguments: list[bytes]) -> Any:
            if world.names.get(arguments[1]) == "release":
                world.model.perform = real  # type: ignore[method-assign]  # only the first time
                return ReplyError("LOADING Redis is loading the dataset in memory")
            return real(arguments)

        world.model.perform = perform  # type: ignore[method-assign]  # replaced for a while
        world.add_by_hand(RUN)
        await asyncio.sleep(3.0)
        world.add_by_hand(RUN)

    play(story, dataclasses.replace(QUIET, settings={"idle_timeout_s": 0.5}))
