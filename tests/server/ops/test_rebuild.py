"""Rebuild: the new snapshot is the fold of the stream up to the same version; the old snapshot stays until the switch."""

import importlib
from typing import Any

import pytest

from sanctum_bus.errors import Unavailable, UnknownRun
from sanctum_bus.events.decode import Event
from sanctum_bus.fold import aggregate as aggregate_module
from sanctum_bus.fold.dispatch import fold as real_fold
from sanctum_bus.fold.log_line import LogFields
from sanctum_bus.fold.state import State
from sanctum_bus.ops import stream_pages
from sanctum_bus.ops.dead_letters import requeue
from sanctum_bus.ops.rebuild import rebuild_run
from sanctum_bus.protocol.keys import RunKeys
from tests.support.fold_run import entry
from tests.support.repairs import (
    HOPELESS,
    assert_is_right,
    counts,
    folded,
    letters,
    misnumbered,
    rebuild,
    view,
)
from tests.support.servers import Server
from tests.support.worker_rig import assert_is_fold, drain, plain, settings_of, side_of, story


@pytest.mark.parametrize("page", [1, 3, 1000])
def test_it_is_what_it_was(server: Server, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """A right snapshot is the same afterwards, with duplicates, gaps and dead letters; only its generation is greater."""
    monkeypatch.setattr(stream_pages, "_PAGE", page)
    side = folded(server)
    before, generation = view(side), int(side.checkpoint("generation"))
    assert side.checkpoint("lost") == '{"gap":4}'

    built = rebuild(server, side)

    assert view(side) == before
    assert built == (int(side.checkpoint("generation")), side.checkpoint(), 19, 15, 2, {"gap": 4}, 0)
    assert built.generation > generation
    assert_is_right(side)


def test_what_was_wrong_is_right(server: Server) -> None:
    """A snapshot that was changed by hand is recreated; no wrong value stays."""
    side = folded(server)
    before = view(side)
    side.redis.hset(side.keys.section("env:0"), "old", "1")
    side.redis.hset(side.keys.section("env:9"), "old", "1")
    side.redis.hset(side.keys.sections, "env:9", "1-1")
    side.redis.delete(side.keys.section("policy"), side.keys.log, side.keys.batches, side.keys.dead)
    side.redis.rpush(side.keys.dead, 1)
    side.redis.hset(side.keys.coverage, "X", "7")
    side.redis.hset(side.keys.checkpoint, mapping={"events": "7", "attempts": "4"})

    rebuild(server, side)

    assert view(side) == before
    assert not side.redis.exists(side.keys.section("env:9"))
    side.add(story(first=20))
    drain(server)
    assert_is_right(side)
    assert side.checkpoint("attempts") == "0"


def test_after_a_fix(server: Server) -> None:
    """An entry that can be folded now is folded in its place, and its dead letter is removed; others of lost entries stay."""
    side = side_of(server)
    side.add([entry("EPOCH_COMPLETED", {"env_id": env_id, "val_accuracy": 1.0}) for env_id in range(3)])
    drain(server, max_envs=1)
    side.redis.xadd(
        side.keys.dead, {"source_id": "1-1", "reason": "of an entry that was trimmed", "raw.a": "b"}
    )
    assert len(letters(side)) == 3

    rebuild(server, side)

    assert letters(side) == ["1-1"]
    assert counts(side) == [3, 3, 0]
    assert_is_fold(side)


def test_after_a_section_was_spoilt_by_hand(server: Server) -> None:
    """Events that a damaged section did not accept are folded in their place, and are no longer dead letters."""
    side = side_of(server)
    epochs = [
        entry("EPOCH_COMPLETED", {"env_id": 3, "inner_epoch": number, "val_accuracy": 10.0 * number})
        for number in range(1, 6)
    ]
    side.add(epochs[:2])
    drain(server)
    side.redis.hset(side.keys.section("env:3"), "best_accuracy", "garbage")
    told = side.add(epochs[2:])
    drain(server)
    assert letters(side) == told
    reasons = {letter[b"reason"].decode() for letter in side.dead()}
    assert all(one.startswith("the fold failed in env:3, run: TypeError(") for one in reasons)
    assert all(one.endswith("; if a section was changed by hand, rebuild the run") for one in reasons)

    rebuild(server, side)

    assert letters(side) == []
    assert counts(side) == [5, 5, 0]
    assert_is_fold(side)
    assert side.sections()["env:3"][b"accuracy_history"] == b"[10.0,20.0,30.0,40.0,50.0]"
    side.add(epochs[4:])
    drain(server)
    assert_is_right(side)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_what_was_put_back_stays_put_back(server: Server, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """A9: a rebuild parks the original and reads its replacement: no dead letter returns, whatever the page size."""
    monkeypatch.setattr(stream_pages, "_PAGE", page)
    side = folded(server, misnumbered(1), HOPELESS)
    requeue(side.redis, side.keys, None)
    drain(server)
    before = view(side)

    rebuild(server, side)

    # An entry that is parked again is a new dead letter; those of the story and the hopeless one exist once.
    assert view(side) == before
    assert_is_right(side)
    assert len(letters(side)) == 3


def test_a_stand_in_that_is_unread(server: Server) -> None:
    """A9: a requeued entry that is not folded yet is not requeued again when the rebuild parks its original again."""
    side = folded(server, misnumbered(1))
    requeue(side.redis, side.keys, letters(side)[-1:])

    rebuild(server, side)
    with pytest.raises(Unavailable, match="is being processed again"):
        requeue(side.redis, side.keys, None)
    drain(server)

    assert_is_right(side)
    assert counts(side) == [21, 16, 3]
    rebuild(server, side)
    assert_is_right(side)
    assert counts(side) == [21, 16, 3]


def test_a_fold_that_fails_half_way(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry whose fold fails is parked, as a worker parks it; the entries after it are folded."""

    def fold(state: State, event: Event) -> LogFields | None:
        line = real_fold(state, event)
        if event.data.get("n") in {1, 3}:
            raise ZeroDivisionError
        return line

    monkeypatch.setattr(aggregate_module, "fold", fold)
    side = side_of(server)
    ids = side.add(plain(5))
    drain(server)
    before = view(side)

    rebuild(server, side)

    assert view(side) == before
    assert letters(side) == [ids[1], ids[3]]


def test_what_has_no_place_in_its_section(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event whose deferred write fails is parked by worker and rebuild; all other events are folded."""
    module = importlib.import_module("sanctum_bus.fold.handlers.default")
    real = module._put_others

    def put(fields: Any, lasts: list[Event], items: list[None]) -> None:
        if lasts[-1].data.get("n") == 3:
            raise ZeroDivisionError
        real(fields, lasts, items)

    monkeypatch.setattr(module, "_put_others", put)
    side = side_of(server)
    ids = side.add(plain(4))
    drain(server)
    before = view(side)

    rebuild(server, side)

    assert view(side) == before
    assert letters(side) == [ids[3]]


def test_caps(server: Server) -> None:
    """The new snapshot keeps as many lines, batches and dead letters as the workers' settings allow, the newest ones."""
    side = side_of(server)
    side.add([*(one for first in range(0, 80, 8) for one in story(first)), *[HOPELESS] * 9])
    given: dict[str, Any] = {"log_max_lines": 5, "batches_max_lines": 4, "dead_letter_max_entries": 3}
    drain(server, **given)
    before = view(side)

    rebuild(server, side, **given)

    assert [len(before[name]) for name in ("log", "batches", "dead")] == [5, 4, 3]
    assert view(side) == before


def test_an_unknown_run(server: Server) -> None:
    """The rebuild of an unknown run is refused, and creates no key."""
    side = side_of(server)
    with pytest.raises(UnknownRun, match="no run 'ghost'"):
        rebuild_run(side.redis, RunKeys("ghost"), settings_of(server))
    assert side.redis.keys() == []


@pytest.mark.parametrize(
    ("hand", "message"),
    [
        (lambda side: side.redis.delete(side.keys.events), "run r: it has no stream"),
        (lambda side: side.redis.xtrim(side.keys.events, 0, approximate=False), "fully trimmed"),
        (lambda side: side.redis.hset(side.keys.checkpoint, "version", "torn"), "no whole snapshot"),
        (lambda side: side.redis.delete(side.keys.checkpoint), "no whole snapshot"),
    ],
    ids=["no stream", "empty stream", "torn", "no checkpoint"],
)
@pytest.mark.parametrize("partial", [False, True])
def test_nothing_to_fold(server: Server, hand: Any, message: str, *, partial: bool) -> None:
    """If there is nothing to fold, or no whole snapshot, the run is left unchanged, and the error has the reason."""
    side = folded(server)
    hand(side)
    before = side.dump()

    with pytest.raises(Unavailable, match=message):
        rebuild(server, side, partial=partial)

    assert side.dump() == before
