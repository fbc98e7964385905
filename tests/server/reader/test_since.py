"""Reads with `since`: the sections that changed after a version."""

from collections.abc import Callable
from typing import Any

import pytest

from sanctum_bus.errors import InvalidArgument
from tests.support.reader_runs import RUN, Training, folded, ticks
from tests.support.readers import Shell


def test_since_carries_what_changed(training: Training, reader: Shell) -> None:
    """A reply to `since` names all sections, and carries those that changed after that version."""
    with training.folding():
        training.tick("a")
        second = training.tick("b")
        before = folded(reader, second)
        third = training.tick("b")
        folded(reader, third)

        news = reader.snapshot(RUN, since=before)
        same = reader.snapshot(RUN, since=(before.version, before.generation))

    assert news.names == {"run", "event:TICK.a", "event:TICK.b"}
    assert news.changed == set(news.sections) == {"run", "event:TICK.b"}
    assert ticks(news.merged_onto(before)) == {"a": 1, "b": 2}
    assert news.sections == same.sections


def test_since_the_newest_version_carries_nothing(training: Training, reader: Shell) -> None:
    """Without a change, a reply to `since` carries only names."""
    training.tick()
    training.fold()
    before = reader.snapshot(RUN)

    news = reader.snapshot(RUN, since=before)

    assert (news.sections, news.changed, news.names) == ({}, frozenset(), before.names)
    assert news.merged_onto(before).sections == before.sections


@pytest.mark.parametrize("since", [("0-1", 1), ("99999999999999-0", 0), ("torn", 0)])
def test_since_another_history_carries_everything(
    training: Training, reader: Shell, since: tuple[str, int]
) -> None:
    """After another generation, an unknown version or a torn one, the reply carries everything."""
    training.tick()
    training.fold()
    whole = reader.snapshot(RUN)

    version, generation = since
    news = reader.snapshot(RUN, since=(version, generation or whole.generation))

    assert news.sections == whole.sections


def test_a_section_that_went_is_gone(training: Training, reader: Shell) -> None:
    """A deleted section is missing in every snapshot, and a merge drops it."""
    with training.folding():
        seeded = training.seed("r0c0")
        before = folded(reader, seeded)
        started = training.emit("TRAINING_STARTED", {"n_envs": 1})
        after = folded(reader, started)
        news = reader.snapshot(RUN, since=before)

    assert "seed:0:r0c0" in before.names
    assert "seed:0:r0c0" not in after.names
    assert news.names == after.names
    assert news.changed == news.sections.keys() == {"run", "env:0"}
    assert news.merged_onto(before).sections == after.sections


def test_a_section_that_somebody_removes_hides_nothing_else(training: Training, reader: Shell) -> None:
    """A section that was removed by hand is empty in a complete snapshot, and absent from a merged one."""
    with training.folding():
        training.tick("a")
        before = folded(reader, training.tick("b"))
        training.tick("c")
        folded(reader, training.tick("b"))
        training.client.delete(*map(training.keys.section, ("event:TICK.b", "event:TICK.c")))

        whole = reader.snapshot(RUN)
        news = [
            reader.snapshot(RUN, since=before),
            reader.snapshot(RUN, since=(before.version, before.generation)),
        ]

    assert {name: bool(fields) for name, fields in whole.merged_onto(before).sections.items()} == {
        "run": True,
        "event:TICK.a": True,
        "event:TICK.b": False,
        "event:TICK.c": False,
    }
    for one in news:
        assert one.merged_onto(before).sections.keys() == one.names == {"run", "event:TICK.a"}


def _spoil_none(_: Training) -> None:
    pass


def _remove_recent(training: Training) -> None:
    training.client.delete(training.keys.recent)


def _remove_one(training: Training) -> None:
    training.client.zrem(training.keys.recent, "run")


def _replace_recent(training: Training) -> None:
    _remove_recent(training)
    training.client.set(training.keys.recent, "something else")


def _remove_deleted(training: Training) -> None:
    """Remove deleted sections from the index, as the release of an idle run does."""
    index: Any = training.client.hgetall(training.keys.sections)
    training.client.hdel(
        training.keys.sections, *[name for name, changed in index.items() if changed[:1] == b"-"]
    )


SPOILS = [_spoil_none, _remove_recent, _remove_one, _replace_recent, _remove_deleted]


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_changed_is_found_whoever_spoils_what_it_is_found_by(
    training: Training, reader: Shell, spoil: Callable[[Training], None]
) -> None:
    """Every earlier snapshot merges to the same result, with sections that were created and deleted in between."""
    views = []
    with training.folding():
        for number in range(4):
            training.tick(f"k{number}")
            training.seed(f"s{number}")
            views.append(folded(reader, training.emit("TRAINING_STARTED", {"n_envs": 1 + number % 2})))
        last = folded(reader, training.seed("s"))
        spoil(training)
        news = [reader.snapshot(RUN, since=view) for view in views]

    assert [one.names for one in news] == [last.names] * 4
    assert [one.merged_onto(view).sections for one, view in zip(news, views, strict=True)] == [
        last.sections
    ] * 4


def test_since_of_another_run_is_refused(training: Training, reader: Shell) -> None:
    """Snapshots of two runs are never merged."""
    training.tick()
    Training(training.server, "other").tick()

    with pytest.raises(InvalidArgument, match="of run 'other'"):
        reader.snapshot(RUN, since=reader.snapshot("other"))


@pytest.mark.parametrize("version", ["", "x", "1-x", "-1-0", "1--5", " 1-0"])
def test_since_what_is_no_version_is_refused(reader: Shell, version: str) -> None:
    """A version is checked before it is sent."""
    with pytest.raises(InvalidArgument, match="not a stream ID"):
        reader.snapshot(RUN, since=(version, 1))
