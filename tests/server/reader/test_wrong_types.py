"""Keys of a run that have another type than they should: what a reader says, and when it goes on."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.exceptions import ResponseError

from sanctum_bus.errors import Unavailable
from sanctum_bus.protocol.key_types import question
from sanctum_bus.reader.key_errors import read_run
from tests.support.reader_runs import PATIENCE_S, RUN, Training, ticks
from tests.support.readers import Shell, Shells
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.unit.reader.test_key_errors import KEYS


def spoil(training: Training, name: str) -> str:
    """Put a string where a key of the run belongs, and return the key."""
    key = training.keys.base + name
    training.client.delete(key)
    training.client.set(key, "x")
    return key


def folded(server: Server) -> Training:
    """A run with a line of the log and some sections."""
    training = Training(server)
    training.emit("TRAINING_STARTED")
    training.seed("r0c0")
    training.tick()
    training.fold()
    return training


#: What cannot be read where a key has the wrong type.
READS: dict[str, Callable[[Shell], Any]] = {
    "env:0": lambda reader: reader.snapshot(RUN),
    "run": lambda reader: reader.snapshot(RUN),
    "checkpoint": lambda reader: reader.snapshot(RUN),
    "sections": lambda reader: reader.snapshot(RUN),
    "events": lambda reader: reader.snapshot(RUN),
    "coverage": lambda reader: reader.coverage(RUN),
    "log": lambda reader: reader.log(RUN),
    "batches": lambda reader: reader.batches(RUN),
    "dead": lambda reader: reader.dead_letters(RUN),
}


@pytest.mark.parametrize("name", READS)
def test_the_key_is_named(server: Server, shells: Shells, name: str) -> None:
    """What cannot be read for a key's type is one error, which names the run, the key, its type, and what to do."""
    training, reader = folded(server), shells.open(server.url)
    key = spoil(training, name)

    with pytest.raises(Unavailable) as raised:
        READS[name](reader)

    said = str(raised.value)
    assert said.startswith(f"run {RUN} cannot be read: {key} has type string, expected ")
    assert ("sanctum rebuild r" in said) == (name not in {"checkpoint", "events"})
    assert ("rename or delete it" in said) == (name in {"checkpoint", "events"})


def test_each_type_is_named(training: Training, reader: Shell) -> None:
    """Any type but the right one is a wrong one, and is called what the server calls it."""
    training.client.rpush(training.keys.checkpoint, "x")

    with pytest.raises(Unavailable, match="checkpoint has type list, expected hash"):
        reader.snapshot(RUN)


def test_more_than_one(training: Training, reader: Shell) -> None:
    """Of many keys one is named, with how many more there are, and who names them."""
    for name in ("checkpoint", "log", "dead"):
        spoil(training, name)

    with pytest.raises(Unavailable, match="2 more keys have the wrong type: sanctum doctor"):
        reader.log(RUN)


def test_the_index_of_runs_is_named(valkey: Server, reader: Shell) -> None:
    """Where the index of runs has the wrong type no run is listed, and it is said which key it is."""
    valkey.client().set("nissa:runs", "x")

    with pytest.raises(
        Unavailable, match="nissa:runs has type string, expected sorted set; rename or delete it"
    ):
        reader.runs()


def test_what_changed_is_found_without_the_key_that_says_it(server: Server, shells: Shells) -> None:
    """`recent` only makes it quicker: a view of what changed needs no more than the rest."""
    training, reader = folded(server), shells.open(server.url)
    view = reader.snapshot(RUN)
    spoil(training, "recent")

    assert reader.snapshot(RUN, since=view).changed == frozenset()


def test_it_may_be_mended_while_it_is_named() -> None:
    """Where no key has the wrong type any more it is said that it is worth another try."""
    program = read_run(KEYS, "HGETALL", KEYS.coverage)
    next(program)
    asked = program.throw(ResponseError("WRONGTYPE Operation"))
    assert asked == (question(KEYS),)

    with pytest.raises(Unavailable, match="try again"):
        program.send([KEYS.sections.encode(), b"hash", KEYS.none.encode(), b"none"])


def test_a_follower_goes_on_when_it_is_mended(
    training: Training, reader: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    """A key of the wrong type is waited for as a server is that is away: it is said once, and then it goes on."""
    training.tick()
    training.fold()
    views = reader.follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    next(views)
    training.tick()
    training.fold()
    key = training.keys.section("event:TICK.a")
    training.client.rename(key, "aside")
    spoil(training, "event:TICK.a")
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(next, views)
        wait_until(lambda: f"{key} has type string" in caplog.text, "the trouble is in the log")
        training.client.rename("aside", key)
        view = second.result(PATIENCE_S)
    views.close()

    assert ticks(view) == {"a": 2}
    assert [record.message.partition(",")[0] for record in caplog.records] == [
        "cannot read run r",
        "can read run r again",
    ]


def test_a_follower_of_the_log_goes_on_when_it_is_mended(
    training: Training, reader: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    """The same for the lines of the log, without a line twice or left out."""
    training.seed("r0c0")
    training.fold()
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    next(lines)
    training.client.rename(training.keys.log, "aside")
    spoil(training, "log")
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(next, lines)
        wait_until(lambda: f"{training.keys.log} has type string" in caplog.text, "the trouble is in the log")
        training.client.rename("aside", training.keys.log)
        training.seed("r0c1")
        training.fold()
        line = second.result(PATIENCE_S)
    lines.close()

    assert line.slot_id == "r0c1"


def test_a_follower_that_waits_in_vain(
    training: Training, reader: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that keeps the wrong type for `idle_s` is an error at the end, and at once where nothing was seen yet."""
    training.tick()
    views = reader.follow(RUN, poll_s=0.02, idle_s=0.5)
    next(views)
    spoil(training, "checkpoint")

    with caplog.at_level(logging.WARNING), pytest.raises(Unavailable, match="checkpoint has type string"):
        next(views)
    with pytest.raises(Unavailable, match="checkpoint has type string"):
        next(reader.follow(RUN))

    assert len(caplog.records) == 1
