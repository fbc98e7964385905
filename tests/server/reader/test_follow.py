"""Following a run: a snapshot after every change, through everything that can happen to a server."""

import pytest

from sanctum_bus.errors import InvalidArgument, UnknownRun
from tests.support.reader_runs import PATIENCE_S, RUN, Training, ticks, until
from tests.support.readers import Shell, Shells
from tests.support.servers import Server
from tests.support.waiting import wait_until


def test_the_first_view_comes_at_once_and_the_next_when_it_changed(server: Server, shells: Shells) -> None:
    """A follower yields the current snapshot, then one for each change, complete and with the changed names."""
    training = Training(server)
    training.seed("r0c0")
    first_id = training.tick("a")
    with training.folding():
        reader = shells.open(server.url)
        wait_until(lambda: reader.snapshot(RUN).version == first_id, "it is folded")
        views = reader.follow(RUN, idle_s=PATIENCE_S)
        first = next(views)
        second = until(views, training.tick("b"))[-1]
        third = until(views, training.emit("TRAINING_STARTED"))[-1]
        views.close()

    assert first.changed == first.names == {"run", "env:0", "seed:0:r0c0", "blueprint:conv", "event:TICK.a"}
    assert {"run", "event:TICK.b"} <= second.changed
    assert ticks(second) == {"a": 1, "b": 1}
    assert set(third.sections) == third.names == {"run", "blueprint:conv", "event:TICK.a", "event:TICK.b"}


def test_a_follower_sees_single_moments_and_the_end(server: Server, shells: Shells) -> None:
    """Merged snapshots are consistent, and the last one equals a complete read."""
    training, reader = Training(server), shells.open(server.url)
    last = training.tick()
    with training.folding():
        views = reader.follow(RUN, idle_s=PATIENCE_S)
        next(views)
        for number in range(200):
            last = training.tick("abcdefgh"[number % 8])
            if number % 20 == 0:
                view = next(views)
                assert sum(ticks(view).values()) == view.events
        seen = until(views, last)
        views.close()

    assert all(sum(ticks(view).values()) == view.events for view in seen)
    assert seen[-1].sections == reader.snapshot(RUN).sections


def test_a_hint_ends_the_wait(training: Training, reader: Shell) -> None:
    """A notification shows a change long before the next poll."""
    training.tick()
    with training.folding():
        views = reader.follow(RUN, poll_s=600, idle_s=None)
        next(views)
        last = until(views, training.tick())[-1]
        views.close()

    assert last.events == 2


def test_following_ends_when_nothing_changes(training: Training, reader: Shell) -> None:
    """The iteration ends after `idle_s` without a change; with 0 it yields the current snapshot."""
    training.tick()
    training.fold()

    assert len(list(reader.follow(RUN, idle_s=0))) == 1
    assert len(list(reader.follow(RUN, idle_s=0.15, poll_s=0.02))) == 1


def test_following_an_unknown_run_is_an_error(reader: Shell) -> None:
    """A run that does not exist is an error: a follower does not wait for it."""
    with pytest.raises(UnknownRun):
        next(reader.follow("nobody"))


def test_patience_is_checked_at_the_call(reader: Shell) -> None:
    """Invalid times and an invalid run ID are refused at the call."""
    with pytest.raises(InvalidArgument, match="poll_s"):
        reader.follow(RUN, poll_s=0)
    with pytest.raises(InvalidArgument, match="idle_s"):
        reader.follow(RUN, idle_s=-1)
    with pytest.raises(InvalidArgument, match="invalid run ID"):
        reader.follow("{")


def test_falling_behind_and_catching_up_are_views(training: Training, reader: Shell) -> None:
    """A snapshot is yielded when entries arrive that are not folded, and again when they are."""
    training.tick()
    training.fold()
    views = reader.follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    first = next(views)
    training.tick()
    second = next(views)
    training.fold()
    third = next(views)
    views.close()

    assert [view.is_current for view in (first, second)] == [True, False]
    assert second.changed == frozenset()
    assert third.events in {1, 2}


def test_another_generation_is_another_view(training: Training, reader: Shell) -> None:
    """A new generation is a new snapshot, which is read completely."""
    training.tick()
    training.fold()
    views = reader.follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    first = next(views)
    training.client.hset(training.keys.section("run"), "by hand", "1")
    training.fold()
    second = next(views)
    views.close()

    assert second.generation > first.generation
    assert second.version == first.version
    assert second.changed == second.names
    assert second.sections["run"]["by hand"] == 1


def test_a_smaller_version_is_another_view(training: Training, reader: Shell) -> None:
    """A history that restarts replaces everything: nothing of the old one stays."""
    training.tick("old", at="500-0")
    training.fold()
    views = reader.follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    next(views)
    training.client.flushall()
    training.tick("new", at="100-0")
    training.fold()
    view = until(views, "100-0")[-1]
    views.close()

    assert ticks(view) == {"new": 1}


def test_an_emptied_server_is_an_empty_view(training: Training, reader: Shell) -> None:
    """After FLUSHALL the snapshot is empty, and a run that returns is followed again."""
    training.tick("old")
    training.fold()
    views = reader.follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    next(views)
    training.client.flushall()
    gone = next(views)
    last = training.tick("new")
    training.fold()
    back = until(views, last)[-1]
    views.close()

    assert (gone.version, gone.generation, gone.names, gone.sections) == ("0-0", 0, frozenset(), {})
    assert ticks(back) == {"new": 1}


def test_a_follower_that_is_left_leaves_no_subscription(training: Training, reader: Shell) -> None:
    """Closing the iterator ends its subscription."""
    training.tick()
    with training.folding():
        views = reader.follow(RUN, poll_s=600)
        next(views)
        until(views, training.tick())
        channels = training.client.execute_command("PUBSUB", "SHARDCHANNELS")
        views.close()

    assert [bytes(one) for one in channels] == [training.keys.changed.encode()]
    wait_until(
        lambda: not training.client.execute_command("PUBSUB", "SHARDCHANNELS"), "the subscription ended"
    )
