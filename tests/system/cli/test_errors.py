"""Errors of an unavailable server: one line with what, where and the remedy, and status 1."""

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.cli.target import sentence
from tests.support.commands import Run, lines_of, sanctum
from tests.support.servers import VALKEY_9, StartServer, free_port

COMMANDS = (
    ["runs"],
    ["show", "r"],
    ["log", "r"],
    ["coverage", "r"],
    ["dead-letters", "r"],
    ["rm", "r", "--yes"],
    ["worker", "--drain"],
    ["publish", "-", "--run", "r"],
)


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_no_server(args: list[str]) -> None:
    """A server that is not there: the URL without its password, and how to get one."""
    ran = sanctum(*args, url=f"redis://user:secret@127.0.0.1:{free_port()}/0")

    assert (ran.status, ran.out) == (1, "")
    said = ran.err.splitlines()[-1]
    assert said.startswith("sanctum: no server answers at redis://user:***@127.0.0.1:")
    assert said.endswith("start one with: sanctum server")
    assert "secret" not in ran.err
    assert "Traceback" not in ran.err


def test_the_default_is_said() -> None:
    """Without any word about a server it is the default one that does not answer."""
    ran = sanctum("--redis", f"redis://localhost:{free_port()}/0", "runs")

    assert ran.status == 1
    assert "redis://localhost:" in ran.err


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://localhost:port/0"])
def test_no_url(url: str) -> None:
    """An invalid URL is reported in one sentence."""
    ran = sanctum("--redis", url, "runs")

    assert ran.status == 1
    assert ran.err.startswith("sanctum: ")
    assert len(ran.err.splitlines()) == 1


def test_refused_credentials(start_server: StartServer) -> None:
    """A missing password is reported in one sentence that does not show the attempted one."""
    port = free_port()
    start_server(VALKEY_9, port=port).client().config_set("requirepass", "right")

    ran = sanctum("runs", url=f"redis://:wrong@127.0.0.1:{port}/0")

    assert ran.status == 1
    assert "rejected the credentials" in ran.err
    assert "wrong@" not in ran.err


def test_a_run_of_the_wrong_type(run: Run) -> None:
    """An invalid stream ID is refused with the expected form."""
    run.publish({"event_type": "OTHER", "data": {}})
    ran = run.sanctum("log", run.id, "--after", "no-id")

    assert ran.status == 1
    assert ran.err == "sanctum: 'no-id' is not a stream ID (expected MILLISECONDS-SEQUENCE)\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AuthenticationError("x"), "rejected the credentials"),
        (NoPermissionError("x"), "permission denied"),
        (BusyLoadingError("x"), "is loading its data"),
        (TooLate("x"), "did not reply in time"),
        (NoConnection("x"), "no server answers"),
        (ResponseError("OOM x"), "returned an error: OOM x"),
        (RedisError("x"), "cannot be used"),
    ],
)
def test_sentences(error: RedisError, words: str) -> None:
    """Each kind of trouble has its own sentence, and each names the server."""
    said = sentence(error, "redis://h/0")

    assert words in said
    assert "redis://h/0" in said


def test_settings_that_are_wrong(run: Run) -> None:
    """A wrong setting stops a worker with a sentence that names it."""
    ran = run.sanctum("worker", "--drain", env={"SANCTUM_READ_BATCH_SIZE": "0"})

    assert ran.status == 1
    assert "read_batch_size" in ran.err


def test_a_settings_file(run: Run, tmp_path: object) -> None:
    """The settings file names server and prefix, and options go before it."""
    path = f"{tmp_path}/sanctum.toml"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123  # the path is text for the variable
        file.write(f'redis_url = "{run.url}"\nkey_prefix = "filed"\n')
    env = {"SANCTUM_CONFIG": path}

    sanctum("publish", "-", "--run", "r", stdin=lines_of([{"event_type": "OTHER", "data": {}}]), env=env)

    assert sanctum("runs", "--json", env=env).json["run_id"] == "r"
    assert sanctum("--prefix", "other", "runs", env=env).out == ""
