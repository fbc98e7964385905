"""Keys of a run with the wrong type: the error of the reader, and when it continues."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis.exceptions import ResponseError

from sanctum_bus.errors import Unavailable
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.reader.key_errors import read_run
from tests.support.reader_runs import PATIENCE_S, RUN, Training, ticks
from tests.support.readers import Shell, Shells
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.unit.reader.test_key_errors import KEYS


def spoil(training: Training, name: str) -> str:
    """Replace a key of the run with a string, and return the key."""
    key = training.keys.base + name
    training.client.delete(key)
    training.client.set(key, "x")
    return key


def folded(server: Server) -> Training:
    """Return a run with a line of the log and some sections."""
    training = Training(server)
    training.emit("TRAINING_STARTED")
    training.seed("r0c0")
    training.tick()
    training.fold()
    return training


#: The read that fails for each key.
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
    """The error names the run, the key, its type, and the correction."""
    training, reader = folded(server), shells.open(server.url)
    key = spoil(training, name)

    with pytest.raises(Unavailable) as raised:
        READS[name](reader)

    message = str(raised.value)
    assert message.startswith(f"run {RUN} cannot be read: {key} has type string, expected ")
    assert ("sanctum rebuild r" in message) == (name not in {"checkpoint", "events"})
    assert ("rename or delete it" in message) == (name in {"checkpoint", "events"})


def test_each_type_is_named(training: Training, reader: Shell) -> None:
    """The error names the actual type, whatever it is."""
    training.client.rpush(training.keys.checkpoint, "x")

    with pytest.raises(Unavailable, match="checkpoint has type list, expected hash"):
        reader.snapshot(RUN)


def test_more_than_one(training: Training, reader: Shell) -> None:
    """Of several wrong keys the error names one, the number of others, and the command that lists them."""
    for name in ("checkpoint", "log", "dead"):
        spoil(training, name)

    with pytest.raises(Unavailable, match="2 more keys have the wrong type: sanctum doctor"):
        reader.log(RUN)


def test_the_index_of_runs_is_named(valkey: Server, reader: Shell) -> None:
    """If the index of runs has the wrong type, the error names its key."""
    valkey.client().set("nissa:runs", "x")

    with pytest.raises(
        Unavailable, match="nissa:runs has type string, expected sorted set; rename or delete it"
    ):
        reader.runs()


def test_what_changed_is_found_without_the_key_that_says_it(server: Server, shells: Shells) -> None:
    """`recent` is only an index: without it, the changed sections are found from the other keys."""
    training, reader = folded(server), shells.open(server.url)
    view = reader.snapshot(RUN)
    spoil(training, "recent")

    assert reader.snapshot(RUN, since=view).changed == frozenset()


def test_it_may_be_mended_while_it_is_named() -> None:
    """If no key has the wrong type by now, the error suggests to try again."""
    program = read_run(KEYS, "HGETALL", KEYS.coverage)
    next(program)
    asked = program.throw(ResponseError("WRONGTYPE Operation"))
    assert asked == (calls.key_types(KEYS).by_digest,)

    with pytest.raises(Unavailable, match="try again"):
        program.send([KEYS.sections.encode(), b"hash", KEYS.none.encode(), b"none"])


def test_a_follower_goes_on_when_it_is_mended(
    training: Training, reader: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    """A follower retries if a key has the wrong type. It logs the failure once, and continues after the repair."""
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
        wait_until(lambda: f"{key} has type string" in caplog.text, "the failure is logged")
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
    """A follower of the log continues after the repair, and neither repeats nor skips a line."""
    training.seed("r0c0")
    training.fold()
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    next(lines)
    training.client.rename(training.keys.log, "aside")
    spoil(training, "log")
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(next, lines)
        wait_until(lambda: f"{training.keys.log} has type string" in caplog.text, "the failure is logged")
        training.client.rename("aside", training.keys.log)
        training.seed("r0c1")
        training.fold()
        line = second.result(PATIENCE_S)
    lines.close()

    assert line.slot_id == "r0c1"


def test_a_follower_that_waits_in_vain(
    training: Training, reader: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong type that lasts for `idle_s` raises an error; before the first snapshot it raises at once."""
    training.tick()
    views = reader.follow(RUN, poll_s=0.02, idle_s=0.5)
    next(views)
    spoil(training, "checkpoint")

    with caplog.at_level(logging.WARNING), pytest.raises(Unavailable, match="checkpoint has type string"):
        next(views)
    with pytest.raises(Unavailable, match="checkpoint has type string"):
        next(reader.follow(RUN))

    assert len(caplog.records) == 1
