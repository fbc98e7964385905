"""Consistent snapshots of a run."""

import pytest
from redis.exceptions import NoPermissionError

from sanctum_bus.errors import InvalidArgument, ServerTooOld, UnknownRun
from tests.support.reader_runs import RUN, Training, folded, ticks
from tests.support.readers import Shell, Shells
from tests.support.servers import REDIS_6, SUPPORTED, Server, ServerKind, StartServer, free_port
from tests.support.waiting import wait_until


def test_a_view_is_the_fold_of_the_stream(server: Server, shells: Shells) -> None:
    """A snapshot has all sections, their version, and the counters of the checkpoint."""
    training = Training(server)
    training.emit("TRAINING_STARTED", {"n_envs": 2, "task": "cifar10"})
    last = training.tick()
    training.fold()

    view = shells.open(server.url).snapshot(RUN)

    assert view.names == view.changed == set(view.sections) == {"run", "env:0", "env:1", "event:TICK.a"}
    assert (view.run_id, view.version, view.last_id) == (RUN, last, last)
    assert view.sections["run"]["task"] == "cifar10"
    assert (view.events, view.parked, view.duplicates, view.lost) == (2, 0, 0, {})
    assert view.schema == 1
    assert view.generation > 0
    assert view.owner
    assert view.env_ids() == [0, 1]


def test_a_head_is_the_view_without_sections(training: Training, reader: Shell) -> None:
    """`counters` returns everything but sections and their names."""
    for event in ("a", "b"):
        training.tick(event)
    training.fold()
    training.tick()

    head, view = reader.counters(RUN), reader.snapshot(RUN)

    assert (head.sections, head.names, head.changed) == ({}, frozenset(), frozenset())
    kept = (
        "version",
        "generation",
        "schema",
        "last_id",
        "owner",
        "events",
        "producers",
        "closed",
        "lost",
        "is_current",
    )
    assert {name: getattr(head, name) for name in kept} == {name: getattr(view, name) for name in kept}
    assert not head.is_current
    with pytest.raises(UnknownRun):
        reader.counters("nobody")


def test_a_stream_that_nobody_folded_is_an_empty_view(training: Training, reader: Shell) -> None:
    """A run without a checkpoint exists, and its snapshot is empty."""
    entry_id = training.tick()

    view = reader.snapshot(RUN)

    assert (view.version, view.generation, view.schema, view.age_s) == ("0-0", 0, 0, None)
    assert (view.sections, view.names, view.owner) == ({}, frozenset(), "")
    assert view.last_id == entry_id
    assert not view.is_current


def test_a_run_without_a_stream_is_a_view(training: Training, reader: Shell) -> None:
    """The snapshot stays readable and current if the stream no longer exists."""
    training.tick()
    training.fold()
    training.client.delete(training.keys.events)

    view = reader.snapshot(RUN)

    assert ticks(view) == {"a": 1}
    assert view.last_id == ""
    assert view.is_current


def test_a_run_that_is_not_there_is_an_error(reader: Shell) -> None:
    """The error for an unknown run names the command that lists the runs."""
    with pytest.raises(UnknownRun, match="sanctum runs"):
        reader.snapshot("nobody")


def test_a_name_that_cannot_be_a_run_is_refused(reader: Shell) -> None:
    """A run ID that could leave its key is refused before anything is sent."""
    with pytest.raises(InvalidArgument, match="invalid run ID"):
        reader.snapshot("a}b")


def test_a_view_that_is_behind_says_so(training: Training, reader: Shell) -> None:
    """A snapshot is current if the stream has no entry after its version."""
    training.tick()
    training.fold()
    current = reader.snapshot(RUN)
    training.tick()

    assert current.is_current
    assert not reader.snapshot(RUN).is_current


def test_age_counts_from_the_arrival_of_the_last_entry(training: Training, reader: Shell) -> None:
    """The age depends only on the clock of the server."""
    seconds, microseconds = training.client.time()
    training.tick(at=f"{seconds * 1000 - 5000}-0")
    training.fold()

    view = reader.snapshot(RUN)

    assert view.age_s is not None
    assert 5 <= view.age_s < 65
    assert view.server_time_s >= seconds + microseconds / 1e6


def test_an_entry_from_the_future_has_no_negative_age(training: Training, reader: Shell) -> None:
    """If the clock of the server was set back, the age is 0."""
    training.tick(at="99999999999999-0")
    training.fold()

    assert reader.snapshot(RUN).age_s == 0


def test_a_torn_view_says_so(training: Training, reader: Shell) -> None:
    """A commit that stopped half-way leaves a torn snapshot, which is not current."""
    training.tick()
    training.fold()
    training.client.hset(training.keys.checkpoint, "version", "torn")

    view = reader.snapshot(RUN)

    assert view.is_torn
    assert not view.is_current
    assert view.age_s is None
    assert reader.snapshot(RUN, since=view).sections == view.sections


def test_losses_and_producers_are_in_the_view(training: Training, reader: Shell) -> None:
    """A snapshot shows lost events, duplicates, and end-of-stream markers."""
    for seq in (3, 3, 4):
        fields = {"type": "TICK", "producer": "p", "seq": str(seq), "json": "{}"}
        training.add("*", fields)
    training.add("*", {"type": "_closed", "producer": "p", "seq": "5", "json": "{}"})
    training.add("*", {"type": "TICK", "json": "not a map"})
    training.fold()

    view = reader.snapshot(RUN)

    assert view.lost == {"before this history": 2}
    assert [(hole["producer"], hole["after"], hole["until"]) for hole in view.lost_ranges] == [("p", 0, 3)]
    assert view.producers == {"p": 5}
    assert view.closed == {"p"}
    assert (view.events, view.duplicates, view.parked) == (2, 1, 1)


def test_groups_have_sections_of_their_own(training: Training, reader: Shell) -> None:
    """A/B groups and their environments are derived from the names of sections."""
    training.emit("EPOCH_COMPLETED", {"env_id": 10}, group_id="arm B")
    training.emit("EPOCH_COMPLETED", {"env_id": 9}, group_id="arm B")
    training.emit("EPOCH_COMPLETED", {"env_id": 0})
    training.fold()

    view = reader.snapshot(RUN)

    assert view.groups == ("arm%20B",)
    assert view.env_ids("arm%20B") == [9, 10]
    assert view.env_ids() == [0]


def test_a_server_that_forgot_the_script_is_given_its_text(training: Training, reader: Shell) -> None:
    """If the server has lost the script, the reader sends its text."""
    training.tick()
    reader.snapshot(RUN)
    training.client.script_flush()

    assert reader.snapshot(RUN).last_id


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": 3},
        {"protocol": 3, "legacy_responses": False},
        {"protocol": 2, "legacy_responses": False},
        {"decode_responses": True},
        {"decode_responses": True, "encoding": "latin-1"},
    ],
    ids=str,
)
def test_any_client_serves(training: Training, shells: Shells, options: dict[str, object]) -> None:
    """Clients with another protocol or decoded text give the same results."""
    training.emit("BATCH_EPOCH_COMPLETED", {"batch_idx": 1, "notes": "größer"})
    training.add("*", {"type": "TICK", "json": b"\xff"})
    training.fold()
    training.client.zadd("nissa:runs", {RUN: 1500})
    ours, theirs = shells.open(training.server.url), shells.over(training.server.url, **options)

    assert ours.snapshot(RUN).sections == theirs.snapshot(RUN).sections
    assert ours.runs() == theirs.runs()
    assert ours.log(RUN) == theirs.log(RUN)
    assert ours.log(RUN, newest=1) == theirs.log(RUN, newest=1)
    assert ours.batches(RUN) == theirs.batches(RUN)
    assert ours.coverage(RUN) == theirs.coverage(RUN)
    assert ours.dead_letters(RUN) == theirs.dead_letters(RUN)
    assert [view.version for view in theirs.follow(RUN, idle_s=0.2)] == [ours.snapshot(RUN).version]


def test_a_connection_that_died_unseen_is_replaced(training: Training, reader: Shell) -> None:
    """If the server closed a pooled connection, the command is sent once more."""
    training.tick()
    reader.snapshot(RUN)
    training.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    assert reader.snapshot(RUN).last_id


def test_a_restarted_server_is_read_on(start_server: StartServer, shells: Shells) -> None:
    """A reader works on after a restart of its server."""
    server = start_server()
    Training(server).tick()
    reader = shells.open(server.url)
    before = reader.snapshot(RUN)

    server.restart()

    assert reader.snapshot(RUN).last_id == before.last_id


def test_an_old_server_is_refused(start_server: StartServer, shells: Shells) -> None:
    """A server without read-only scripts is refused; the error has its version."""
    server = start_server(REDIS_6)
    Training(server).tick()

    with pytest.raises(ServerTooOld, match=r"6\.2"):
        shells.open(server.url).snapshot(RUN)


def test_what_the_server_answers_comes_as_it_is(training: Training, shells: Shells) -> None:
    """Other errors of the server are passed on unchanged."""
    training.tick()
    user = ("reader", "on", ">word", "~*", "&*", "+@all", "-eval_ro", "-evalsha_ro")
    training.client.execute_command("ACL", "SETUSER", *user)
    reader = shells.over(training.server.url, username="reader", password="word")  # noqa: S106  # of this test

    with pytest.raises(NoPermissionError):
        reader.snapshot(RUN)
    training.client.execute_command("ACL", "DELUSER", "reader")


def test_every_view_is_one_moment(server: Server, shells: Shells) -> None:
    """While a worker commits, the sections of each snapshot add up to its counter."""
    training, reader = Training(server), shells.open(server.url)
    last = training.tick()
    with training.folding():
        for _ in range(40):
            for kind in "abcdefgh":
                last = training.tick(kind)
            view = reader.snapshot(RUN)
            assert sum(ticks(view).values()) == view.events
        folded(reader, last)


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
def test_a_cluster_serves(start_server: StartServer, shells: Shells, kind: ServerKind) -> None:
    """Each command uses keys of one slot, as a cluster node requires."""
    server = start_server(kind, "--cluster-enabled", "yes", port=free_port())
    training = Training(server)
    training.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: _cluster_is_up(training), "all slots are served")
    training.seed("r0c0")
    training.fold()
    reader = shells.open(server.url)

    assert reader.snapshot(RUN).is_current
    assert len(list(reader.follow(RUN, idle_s=0.2))) == 1
    assert len(list(reader.follow_log(RUN, idle_s=0.2))) == 1
    assert [run.run_id for run in reader.runs()] == [RUN]


def _cluster_is_up(training: Training) -> bool:
    info: dict[str, str] = training.client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok"
