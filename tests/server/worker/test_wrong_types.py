"""Keys of the wrong type: which are recreated, when, and what happens to the rest."""

import pytest

from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.ops.runs import wrong_keys
from sanctum_bus.protocol import keys
from tests.support.repairs import rebuild, view
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_rig import Side, assert_is_fold, differences, drain, plain, side_of, story
from tests.support.worker_task import at_work, wait_for_fold, wait_for_words

#: Keys that are recreated completely: from the other keys, or from the stream.
WHOLE = ("checkpoint", "sections", "coverage", "recent")

#: Keys that continue empty: no other key has their content.
EMPTIED = ("log", "batches", "dead")


def spoil(side: Side, name: str) -> None:
    """Put a list in the place of a key of the run."""
    side.redis.delete(side.keys.base + name)
    side.redis.rpush(side.keys.base + name, "x")


def right(side: Side, name: str) -> bool:
    """Return whether the key has its type, or does not exist."""
    return side.keys.base + name not in {one.key for one in wrong_keys(side.redis, side.keys)}


def assert_went_on(side: Side, name: str) -> None:
    """Everything is right, except for the earlier content of a stream of lines."""
    wrong = differences(side, fold_entries(side.stream()))
    if name in WHOLE:
        assert_is_fold(side)
    elif name == "dead":
        assert wrong == {}
        assert len(side.dead()) == 1
    else:
        (found, expected) = wrong.pop(name)
        assert wrong == {}
        assert found == expected[len(expected) - len(found) :]
        assert len(found) == len(expected) // 2


@pytest.mark.parametrize("name", [*WHOLE, *EMPTIED])
def test_a_take_over_makes_it_again(server: Server, name: str) -> None:
    """P22: the next worker recreates the key; the earlier content of a stream of lines is lost."""
    side = side_of(server)
    side.add(story())
    drain(server)
    spoil(side, name)

    drain(server)
    assert right(side, name)
    side.add(story(first=8))
    drain(server)

    assert_went_on(side, name)


@pytest.mark.parametrize("name", [*WHOLE, *EMPTIED])
def test_an_idle_owner_makes_it_again(server: Server, name: str) -> None:
    """P22: under an idle worker, the next ownership check detects the key."""
    side = side_of(server)
    side.add(story())

    with at_work(server):
        wait_for_fold(side)
        spoil(side, name)
        wait_until(lambda: right(side, name), f"{name} is recreated")
        side.add(story(first=8))
        wait_for_fold(side)

    assert_went_on(side, name)


def test_a_section_is_made_again_when_it_is_written(server: Server) -> None:
    """P22: an owner detects a section of the wrong type when an event changes it, and not before."""
    side = side_of(server)
    side.add(story())

    with at_work(server) as lines:
        wait_for_fold(side)
        spoil(side, "policy")
        side.add(plain(3))
        wait_for_fold(side)
        assert side.redis.type(side.keys.section("policy")) == b"list"
        side.add(story(first=8))
        wait_for_fold(side)

    assert_is_fold(side)
    assert [line for line in lines if line["event"] == "run reloaded"] != []


def test_a_run_that_sleeps_is_woken_for_its_checkpoint(valkey: Server) -> None:
    """P22: an idle run has no owner; a scan finds that its checkpoint is invalid."""
    side = side_of(valkey)
    side.add(story())
    drain(valkey)
    side.redis.zadd(keys.runs(), {side.keys.run_id: 1})
    spoil(side, "checkpoint")

    with at_work(valkey, retention_s=0):
        wait_until(lambda: right(side, "checkpoint"), "the checkpoint is recreated")
        wait_for_fold(side)

    assert_is_fold(side)


@pytest.mark.parametrize(
    "name", ["env:0", "run", "policy", "sections", "coverage", "recent", "log", "batches", "dead"]
)
def test_a_rebuild_makes_it_again(server: Server, name: str) -> None:
    """Every key that the owner writes is recreated from the stream as it was, the lines included."""
    side = side_of(server)
    side.add(story())
    drain(server)
    before = view(side)
    spoil(side, name)

    rebuild(server, side)

    assert view(side) == before


@pytest.mark.parametrize("name", ["checkpoint", "events", "producers"])
@pytest.mark.parametrize("what", ["rename", "delete"])
def test_what_a_rebuild_cannot_make_again(server: Server, name: str, what: str) -> None:
    """Without a checkpoint there is nothing to rebuild: its writers recreate a renamed or deleted key."""
    side = side_of(server)
    side.add(story())
    drain(server)
    spoil(side, name)
    key = side.keys.base + name

    side.redis.rename(key, "aside") if what == "rename" else side.redis.delete(key)
    side.add(story(first=8))
    drain(server)

    assert right(side, name)
    assert side.checkpoint() == side.stream()[-1][0]


@pytest.mark.parametrize("key", ["nissa:runs", "nissa:workers", "nissa:workers:state"])
@pytest.mark.parametrize("what", ["rename", "delete"])
def test_a_key_of_all_workers(valkey: Server, key: str, what: str) -> None:
    """P22: a worker logs the key, its type and the remedy; afterwards it recreates the key."""
    side = side_of(valkey)
    side.redis.set(key, "x")

    with at_work(valkey) as lines:
        wait_for_words(lines, f"WRONGTYPE {key} has type string, expected ", "task failed")
        wait_for_words(lines, "rename or delete it", "task failed")
        side.redis.rename(key, "aside") if what == "rename" else side.redis.delete(key)
        wait_for_words(lines, "", "task recovered")
        side.add(story())
        wait_for_fold(side)
        wait_until(lambda: side.redis.exists(key), f"{key} is recreated")

    assert_is_fold(side)
