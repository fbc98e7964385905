"""The seed event log: its pages, and following it by ID."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from sanctum_bus.errors import InvalidArgument, UnknownRun
from sanctum_bus.reader import LogLine
from tests.support.reader_runs import PATIENCE_S, RUN, Training
from tests.support.readers import Shell, Shells
from tests.support.servers import Server, StartServer
from tests.support.waiting import wait_until


def slots(lines: list[LogLine]) -> list[object]:
    """Return the slots of lines."""
    return [line.slot_id for line in lines]


def take(lines: Iterator[LogLine], count: int) -> list[LogLine]:
    """Return the next lines; all of them must arrive."""
    taken = list(islice(lines, count))
    assert len(taken) == count
    return taken


@pytest.fixture(name="five")
def _five(training: Training) -> Training:
    """A run whose log has the lines s1 to s5, with the IDs 1-0 to 5-0."""
    for number in range(1, 6):
        training.seed(f"s{number}", at=f"{number}-0", env_id=3)
    training.fold()
    return training


def test_a_line_has_all_that_the_event_had(server: Server, shells: Shells) -> None:
    """A line has the message and the data of its event."""
    training = Training(server)
    training.emit("TRAINING_STARTED", {"start_episode": 10}, at="5-0")
    data = {"env_id": 3, "blueprint_id": "conv", "params": 7, "ratio": float("nan")}
    training.emit("SEED_GERMINATED", data, at="7-1", slot_id="r0c1", timestamp=12.5)
    training.fold()

    line = shells.open(server.url).log(RUN)[1]

    assert (line.id, line.type, line.at) == ("7-1", "SEED_GERMINATED", 12.5)
    assert (line.env_id, line.slot_id, line.blueprint_id, line.episode) == (3, "r0c1", "conv", 13)
    assert line.message == "r0c1 germinated (conv)"
    assert line.data.keys() == data.keys()
    assert line.data["params"] == 7
    assert line.lost == 0


def test_a_line_says_what_was_lost_before_it(training: Training, reader: Shell) -> None:
    """A sequence gap shows at the line behind it."""
    for seq in ("1", "4"):
        fields = {"type": "SEED_GERMINATED", "producer": "p", "seq": seq}
        training.add("*", {**fields, "json": '{"slot_id":"a","data":{"env_id":0}}'})
    training.fold()

    assert [line.lost for line in reader.log(RUN)] == [0, 2]


def test_pages_follow_each_other_by_id(five: Training, reader: Shell) -> None:
    """A page excludes `after` and has at most `count` lines; the page behind the last is empty."""
    first = reader.log(RUN, count=2)
    second = reader.log(RUN, after=first[-1].id, count=2)
    third = reader.log(RUN, after=second[-1].id, count=2)

    assert [slots(page) for page in (first, second, third)] == [["s1", "s2"], ["s3", "s4"], ["s5"]]
    assert reader.log(RUN, after=third[-1].id) == []


def test_the_newest_lines_come_oldest_first(five: Training, reader: Shell) -> None:
    """`newest` returns lines from the end, and only those after `after`."""
    assert slots(reader.log(RUN, newest=2)) == ["s4", "s5"]
    assert slots(reader.log(RUN, newest=99)) == ["s1", "s2", "s3", "s4", "s5"]
    assert slots(reader.log(RUN, newest=3, after="4-0")) == ["s5"]


def test_a_page_that_cannot_be_is_refused(five: Training, reader: Shell) -> None:
    """A count below 1 and an invalid ID are refused."""
    with pytest.raises(InvalidArgument, match="not 0"):
        reader.log(RUN, count=0)
    with pytest.raises(InvalidArgument, match="not -1"):
        reader.log(RUN, newest=-1)
    with pytest.raises(InvalidArgument, match="not a stream ID"):
        reader.log(RUN, after="$")


def test_a_run_without_lines_is_no_unknown_run(training: Training, reader: Shell) -> None:
    """An empty log is an error only if the run does not exist."""
    training.tick()

    assert reader.log(RUN) == []
    with pytest.raises(UnknownRun):
        reader.log("nobody")


def test_following_yields_what_is_there_and_then_each_line(server: Server, shells: Shells) -> None:
    """A follower yields the lines after an ID, each once."""
    training = Training(server)
    for number in range(1, 4):
        training.seed(f"s{number}", at=f"{number}-0")
    with training.folding():
        lines = shells.open(server.url).follow_log(RUN, after="1-0", idle_s=PATIENCE_S)
        seen = take(lines, 2)
        for number in range(4, 9):
            training.seed(f"s{number}", at=f"{number}-0")
            seen += take(lines, 1)
        lines.close()

    assert slots(seen) == [f"s{number}" for number in range(2, 9)]


def test_more_lines_than_one_look_takes(training: Training, reader: Shell) -> None:
    """A long log is yielded completely and in order."""
    training.seeds(2502)
    training.fold()

    ids = [line.id for line in reader.follow_log(RUN, idle_s=0.1)]

    assert ids == [f"{number}-0" for number in range(1, 2503)]


def test_a_version_whose_stream_is_gone_is_a_place_in_the_log(five: Training, reader: Shell) -> None:
    """An ID that was folded is valid even if the stream no longer exists."""
    five.tick(at="6-0")
    five.fold()
    five.client.delete(five.keys.events)

    assert list(reader.follow_log(RUN, after="6-0", idle_s=0.1)) == []


def test_from_the_newest_on(five: Training, reader: Shell) -> None:
    """`$` skips the existing lines. It is resolved once, so no line after the first read is lost."""
    assert list(reader.follow_log(RUN, after="$", idle_s=0.1)) == []

    lines = reader.follow_log(RUN, after="$", poll_s=600)
    with ThreadPoolExecutor(1) as thread, five.folding():
        taken = thread.submit(take, lines, 2)
        wait_until(lambda: five.client.execute_command("PUBSUB", "SHARDCHANNELS"), "the first read is done")
        five.seed("s6", at="6-0")
        five.seed("s7", at="7-0")
        assert slots(taken.result(PATIENCE_S)) == ["s6", "s7"]
        lines.close()


def test_from_the_newest_on_of_nothing(training: Training, reader: Shell) -> None:
    """In an empty log the first line comes after `$`; an unknown run is an error."""
    training.tick()

    assert list(reader.follow_log(RUN, after="$", idle_s=0)) == []
    with pytest.raises(UnknownRun):
        next(reader.follow_log("nobody", after="$"))


def test_following_an_unknown_run_is_an_error(reader: Shell) -> None:
    """A run that does not exist is an error: a follower does not wait for it."""
    with pytest.raises(UnknownRun):
        next(reader.follow_log("nobody"))


def test_an_id_is_checked_at_the_call(reader: Shell) -> None:
    """An invalid ID is refused at the call."""
    with pytest.raises(InvalidArgument, match="not a stream ID"):
        reader.follow_log(RUN, after="yesterday")


def test_a_log_with_smaller_ids_is_read_from_its_beginning(five: Training, reader: Shell) -> None:
    """If a log restarts below the last ID, the follower does not wait forever."""
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    take(lines, 5)
    five.client.flushall()
    five.seed("new1", at="2-0")
    five.seed("new2", at="4-0")
    five.fold()

    assert slots(take(lines, 2)) == ["new1", "new2"]
    lines.close()


def test_a_log_that_has_overtaken_the_id_is_read_from_its_beginning(five: Training, reader: Shell) -> None:
    """If a new log has passed the last ID between two reads, the missing line reveals it."""
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    take(lines, 5)
    five.client.flushall()
    five.seed("new1", at="4-0")
    five.seed("new2", at="9-0")
    five.fold()

    assert slots(take(lines, 2)) == ["new1", "new2"]
    lines.close()


def test_a_log_that_was_folded_again_goes_on(five: Training, reader: Shell) -> None:
    """A new history of the same stream has the same lines, and none is yielded twice."""
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    take(lines, 5)
    five.client.delete(five.keys.checkpoint)
    five.seed("s6", at="6-0")
    five.fold()

    assert slots(take(lines, 1)) == ["s6"]
    lines.close()


def test_a_log_that_is_being_folded_again_is_waited_for(five: Training, reader: Shell) -> None:
    """Until a new history reaches the last line, no line is yielded twice."""
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=0.3)
    take(lines, 5)
    five.client.hset(five.keys.checkpoint, "version", "3-0")
    five.client.xdel(five.keys.log, "4-0", "5-0")

    assert list(lines) == []


def test_a_log_that_lost_its_lines_is_another_one(five: Training, reader: Shell) -> None:
    """If the last line is missing although its entry is folded, the log is read from its beginning."""
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    take(lines, 5)
    five.client.delete(five.keys.log)
    five.client.xadd(five.keys.log, {"type": "X", "slot_id": "x"}, id="1-0")

    assert slots(take(lines, 1)) == ["x"]
    lines.close()


def test_a_version_is_a_place_in_the_log(five: Training, reader: Shell) -> None:
    """A log can be followed from the version of a snapshot, whether its entry caused a line or not."""
    five.tick(at="6-0")
    five.fold()
    lines = reader.follow_log(RUN, after=reader.snapshot(RUN).version, poll_s=0.02, idle_s=0.3)
    assert list(lines) == []

    lines = reader.follow_log(RUN, after="6-0", poll_s=0.02, idle_s=PATIENCE_S)
    five.seed("s7", at="7-0")
    five.fold()
    assert slots(take(lines, 1)) == ["s7"]
    lines.close()


def test_lines_that_the_cap_took_are_passed_over(five: Training, reader: Shell) -> None:
    """A follower that fell behind the cap continues with the oldest line."""
    lines = reader.follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    take(lines, 2)
    take(lines, 3)
    for number in range(6, 9):
        five.seed(f"s{number}", at=f"{number}-0")
    five.fold()
    five.client.xtrim(five.keys.log, maxlen=2, approximate=False)

    assert slots(take(lines, 2)) == ["s7", "s8"]
    lines.close()


def test_an_id_above_the_log_is_of_another_log(five: Training, reader: Shell) -> None:
    """An ID that the log has not reached yields the existing log."""
    assert slots(list(reader.follow_log(RUN, after="77-0", idle_s=0))) == ["s1", "s2", "s3", "s4", "s5"]


def test_an_id_between_lines_is_a_place_in_the_log(five: Training, reader: Shell) -> None:
    """The ID to start after need not be the ID of a line."""
    assert slots(list(reader.follow_log(RUN, after="3-7", idle_s=0))) == ["s4", "s5"]


def test_a_log_is_followed_through_a_restart(start_server: StartServer, shells: Shells) -> None:
    """A restart neither repeats nor skips a line."""
    server = start_server()
    training = Training(server)
    training.seed("s1", at="1-0")
    training.fold()
    lines = shells.open(server.url).follow_log(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    seen = take(lines, 1)
    server.restart()
    training.seed("s2", at="2-0")
    training.fold()
    seen += take(lines, 1)
    lines.close()

    assert slots(seen) == ["s1", "s2"]
