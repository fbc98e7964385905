"""Rebuilding a run: the new snapshot is the fold of the stream up to the same version; the old one stays until then."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NoConnection

from sanctum_bus import aggregate as aggregate_module
from sanctum_bus import rebuild as module
from sanctum_bus.admin import requeue
from sanctum_bus.errors import NotNow, Refused, StartOver, UnknownRun
from sanctum_bus.fold import Line
from sanctum_bus.fold import fold as real_fold
from sanctum_bus.keys import RunKeys
from sanctum_bus.rebuild import Rebuilt, rebuild_run
from sanctum_bus.state import State
from sanctum_bus.wire.decode import Event
from tests.admin.mending import HOPELESS, Hooked, assert_is_right, counts, cut, letters, misnumbered
from tests.fold.feeding import Entry, entry
from tests.servers import Server
from tests.worker.harness import Rig, Side, assert_is_fold, drain, plain, rigged, settings_of, side_of, story

COUNTERS = (
    "version",
    "entries",
    "events",
    "parked",
    "duplicates",
    "lost",
    "lost_ranges",
    "producers",
    "closed",
)


def _view(side: Side) -> dict[str, Any]:
    """All of a snapshot that does not depend on who made it."""
    return {
        "sections": side.sections(),
        "log": side.lines(side.keys.log),
        "batches": side.lines(side.keys.batches),
        "coverage": side.coverage(),
        "dead": side.dead(),
        "counters": {name: side.checkpoint(name) for name in COUNTERS},
    }


def _rebuild(server: Server, side: Side, *, partial: bool = False, **given: object) -> Rebuilt:
    return rebuild_run(side.redis, side.keys, settings_of(server, **given), partial=partial)


def _folded(server: Server, *more: Entry) -> Side:
    """A run with all that a run can have, folded."""
    side = side_of(server)
    side.add([entry("OLD", {"a": 1}), *story(), *story()[2:4], *story(first=12), *more])
    drain(server)
    return side


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_it_is_what_it_was(server: Server, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """A snapshot that was right is the same afterwards, duplicates, gaps and letters included; only younger."""
    monkeypatch.setattr(module, "_PAGE", page)
    side = _folded(server)
    before, generation = _view(side), int(side.checkpoint("generation"))
    assert side.checkpoint("lost") == '{"gap":4}'

    built = _rebuild(server, side)

    assert _view(side) == before
    assert built == (int(side.checkpoint("generation")), side.checkpoint(), 19, 15, 2, {"gap": 4}, 0)
    assert built.generation > generation
    assert_is_right(side)


def test_what_was_wrong_is_right(server: Server) -> None:
    """A snapshot that somebody spoilt without a trace is made again; of what was wrong nothing stays."""
    side = _folded(server)
    before = _view(side)
    side.redis.hset(side.keys.section("env:0"), "old", "1")
    side.redis.hset(side.keys.section("env:9"), "old", "1")
    side.redis.hset(side.keys.sections, "env:9", "1-1")
    side.redis.delete(side.keys.section("policy"), side.keys.log, side.keys.batches, side.keys.dead)
    side.redis.rpush(side.keys.dead, 1)
    side.redis.hset(side.keys.coverage, "X", "7")
    side.redis.hset(side.keys.checkpoint, mapping={"events": "7", "attempts": "4"})

    _rebuild(server, side)

    assert _view(side) == before
    assert not side.redis.exists(side.keys.section("env:9"))
    side.add(story(first=20))
    drain(server)
    assert_is_right(side)
    assert side.checkpoint("attempts") == "0"


def test_after_a_fix(server: Server) -> None:
    """What can be folded by now is folded in its place, and its letter is gone; letters of lost entries stay."""
    side = side_of(server)
    side.add([entry("EPOCH_COMPLETED", {"env_id": env_id, "val_accuracy": 1.0}) for env_id in range(3)])
    drain(server, max_envs=1)
    side.redis.xadd(
        side.keys.dead, {"source_id": "1-1", "reason": "of an entry that was trimmed", "raw.a": "b"}
    )
    assert len(letters(side)) == 3

    _rebuild(server, side)

    assert letters(side) == ["1-1"]
    assert counts(side) == [3, 3, 0]
    assert_is_fold(side)


def test_the_old_one_stays_until_the_switch(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the moment of the switch every byte of the old snapshot is readable, at the same version."""
    monkeypatch.setattr(module, "_PAGE", 1)
    side = _folded(server)
    before, seen, client = _view(side), [], Hooked(side)
    for name in ("hold", "replace"):
        client.before[name] = lambda: seen.append(_view(side))

    rebuild_run(client, side.keys, settings_of(server))

    assert seen == [before, before]


@pytest.mark.parametrize("name", ["hold", "replace"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_cut_at_any_moment(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, when: str) -> None:
    """A rebuild that goes in the middle leaves the old snapshot or the new one, and the workers go on with it."""
    monkeypatch.setattr(module, "_HOLD_MS", 100)
    side = _folded(server)
    before, client = _view(side), Hooked(side)
    getattr(client, when)[name] = cut

    with pytest.raises(NoConnection):
        rebuild_run(client, side.keys, settings_of(server))

    assert _view(side) == before
    side.add(story(first=20))
    drain(server)
    assert_is_right(side)
    _rebuild(server, side)
    assert_is_right(side)


def test_the_owner_goes_on_meanwhile(server: Server) -> None:
    """What the owner commits before the run is held still is in the new snapshot; afterwards it takes over again."""
    side = _folded(server)

    async def use(rig: Rig) -> None:
        aggregate, taken, held = await rig.begin()
        client = Hooked(side)
        side.add(story(first=20))
        client.before["hold"] = lambda: _drain_in_thread(server)
        rebuild_run(client, side.keys, settings_of(server))
        assert_is_right(side)
        with pytest.raises(Refused, match="generation"):
            await rig.store.commit(aggregate, taken, taken.version, held, "")
        side.add(story(first=28))
        await rig.drain()

    rigged(server, use)

    assert_is_right(side)


def _drain_in_thread(server: Server) -> None:
    """Drain from within a coroutine."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(drain, server).result()


def test_a_held_run_is_not_taken_over(server: Server) -> None:
    """While a run is held still nobody takes it over; when the time is up, or it was replaced, anybody may."""
    side = _folded(server)
    client = Hooked(side)
    generations = []
    client.before["replace"] = lambda: generations.append(_take(server))

    rebuild_run(client, side.keys, settings_of(server))

    assert generations == ["held"]
    assert _take(server) == "taken"


def _take(server: Server) -> str:
    async def use(rig: Rig) -> str:
        try:
            await rig.store.take_over("other", innocent=True)
        except StartOver as error:
            return error.reason
        return "taken"

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(rigged, server, use).result()


def test_too_late_for_the_switch(server: Server) -> None:
    """A rebuild that slept through its time replaces nothing of what another has folded since; it begins anew."""
    side = _folded(server)
    client = Hooked(side)

    def sleep_through() -> None:
        side.redis.hdel(side.keys.checkpoint, "held_until")
        side.add(story(first=20))
        drain(server)

    client.before["replace"] = sleep_through

    rebuild_run(client, side.keys, settings_of(server))

    assert side.checkpoint("entries") == "27"
    assert_is_right(side)


def test_taken_over_before_the_switch(server: Server) -> None:
    """A15: an owner that came in between is never left with a state that is not the snapshot's: it is fenced first."""
    side = _folded(server)
    client = Hooked(side)

    def come_between() -> None:
        side.redis.hdel(side.keys.checkpoint, "held_until")
        assert _take(server) == "taken"
        taken.append(int(side.checkpoint("generation")))

    taken: list[int] = []
    client.before["replace"] = come_between

    built = rebuild_run(client, side.keys, settings_of(server))

    assert built.generation == int(side.checkpoint("generation")) > taken[0]


def test_rolled_back_before_the_switch(server: Server) -> None:
    """A failover that takes the version back makes the rebuild begin anew: state and version belong together."""
    side = side_of(server)
    ids = side.add(story())
    drain(server)
    client = Hooked(side)
    client.before["hold"] = lambda: side.redis.hset(side.keys.checkpoint, "version", ids[3])

    built = rebuild_run(client, side.keys, settings_of(server))

    assert (built.version, built.entries) == (ids[3], 4)
    assert_is_fold(side, side.stream()[:4])
    drain(server)
    assert_is_right(side)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_what_was_put_back_stays_put_back(server: Server, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """A9: a rebuild parks the original and meets its stand-in: no letter comes back, whatever pages it reads."""
    monkeypatch.setattr(module, "_PAGE", page)
    side = _folded(server, misnumbered(1), HOPELESS)
    requeue(side.redis, side.keys, None)
    drain(server)
    before = _view(side)

    _rebuild(server, side)

    # What is parked anew is a letter anew; those of the story and the hopeless one are there once.
    assert _view(side) == before
    assert_is_right(side)
    assert len(letters(side)) == 3


def test_a_stand_in_that_is_unread(server: Server) -> None:
    """A9: what was put back and not yet folded is not put back once more when the rebuild parks its original again."""
    side = _folded(server, misnumbered(1))
    requeue(side.redis, side.keys, letters(side)[-1:])

    _rebuild(server, side)
    with pytest.raises(NotNow, match="folded anew"):
        requeue(side.redis, side.keys, None)
    drain(server)

    assert_is_right(side)
    assert counts(side) == [21, 16, 3]
    _rebuild(server, side)
    assert_is_right(side)
    assert counts(side) == [21, 16, 3]


def test_a_fold_that_fails_half_way(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that spoils a fold is parked, as a worker parks it; whatever follows is folded."""

    def fold(state: State, event: Event) -> Line | None:
        line = real_fold(state, event)
        if event.data.get("n") in {1, 3}:
            raise ZeroDivisionError
        return line

    monkeypatch.setattr(aggregate_module, "fold", fold)
    side = side_of(server)
    ids = side.add(plain(5))
    drain(server)
    before = _view(side)

    _rebuild(server, side)

    assert _view(side) == before
    assert letters(side) == [ids[1], ids[3]]


def test_caps(server: Server) -> None:
    """The new snapshot keeps as many lines, batches and letters as the workers' settings say, the newest ones."""
    side = side_of(server)
    side.add([*(one for first in range(0, 80, 8) for one in story(first)), *[HOPELESS] * 9])
    given: dict[str, Any] = {"log_lines": 5, "batch_lines": 4, "dead_entries": 3}
    drain(server, **given)
    before = _view(side)

    _rebuild(server, side, **given)

    assert [len(before[name]) for name in ("log", "batches", "dead")] == [5, 4, 3]
    assert _view(side) == before


def test_an_unknown_run(server: Server) -> None:
    """There is nothing to rebuild in a run that is not there; nothing is made."""
    side = side_of(server)
    with pytest.raises(UnknownRun, match="no run 'ghost'"):
        rebuild_run(side.redis, RunKeys("ghost"), settings_of(server))
    assert side.redis.keys() == []


@pytest.mark.parametrize(
    ("hand", "message"),
    [
        (lambda side: side.redis.delete(side.keys.events), "the stream of run r is gone"),
        (lambda side: side.redis.xtrim(side.keys.events, 0, approximate=False), "holds nothing any more"),
        (lambda side: side.redis.hset(side.keys.checkpoint, "version", "torn"), "no whole snapshot"),
        (lambda side: side.redis.delete(side.keys.checkpoint), "no whole snapshot"),
    ],
    ids=["no stream", "empty stream", "torn", "no checkpoint"],
)
@pytest.mark.parametrize("partial", [False, True])
def test_nothing_to_fold(server: Server, hand: Any, message: str, *, partial: bool) -> None:
    """Where there is nothing to fold, or nothing was folded yet, the run is left as it is, and it is said why."""
    side = _folded(server)
    hand(side)
    before = side.dump()

    with pytest.raises(NotNow, match=message):
        _rebuild(server, side, partial=partial)

    assert side.dump() == before
