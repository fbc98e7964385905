"""`server` and `worker`: they start, print their address, find each other, and stop on a signal."""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanctum_bus.cli import worker
from sanctum_bus.ops.embedded import running_server
from sanctum_bus.ops.embedded.state_dir import registered
from sanctum_bus.worker.settings import load
from tests.support.commands import DEADLINE_S, Ran, Run, command, environment, lines_of, sanctum, start
from tests.support.servers import VALKEY_9, free_port, require
from tests.support.waiting import wait_until

STOPS = [signal.SIGTERM, signal.SIGINT]

EVENT = {"event_type": "OTHER", "timestamp": 1.0, "data": {}}


@pytest.fixture(name="home")
def _home() -> Iterator[Path]:
    """A state directory whose path is short enough for a socket."""
    require(VALKEY_9)
    with tempfile.TemporaryDirectory(prefix="st-") as path:
        yield Path(path)


@pytest.fixture(name="started")
def _started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are killed with the test, if they are still there."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> Ran:
    """Tell a process to stop, and wait until it has."""
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("number", STOPS)
def test_a_server_runs_until_it_is_told(
    home: Path, started: list[subprocess.Popen[bytes]], number: int
) -> None:
    """`server` prints its address, serves other commands, and exits with status 0 on a signal."""
    env = environment(SANCTUM_STATE_DIR=str(home))
    process = start("server", env=env)
    started.append(process)
    url = wait_until(lambda: running_server(home), "the server runs")

    found = sanctum("runs", env={"SANCTUM_STATE_DIR": str(home)})
    ran = stop(process, number)

    assert found.status == 0
    assert ran.status == 0
    assert f"serving at {url}" in ran.out
    assert f"export SANCTUM_REDIS_URL='{url}'" in ran.out
    assert ran.err == "sanctum: the server has stopped\n"
    assert running_server(home) is None


def test_a_server_on_a_port(home: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """`--port` opens a port of this machine instead of a socket."""
    port = free_port()
    started.append(start("server", "--port", str(port), "--state-dir", str(home), env=environment()))
    wait_until(lambda: running_server(home), "the server runs")

    assert sanctum("runs", url=f"redis://127.0.0.1:{port}/0").status == 0


def test_data_outlives_the_server(home: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """Published data is there after the next start."""
    env = {"SANCTUM_STATE_DIR": str(home)}
    for _ in range(2):
        started.append(start("server", env=environment(**env)))
        wait_until(lambda: running_server(home), "the server runs")
        if len(started) == 1:
            sanctum("publish", "-", "--run", "r", stdin=lines_of([EVENT]), env=env)
            stop(started[0])

    assert sanctum("runs", "--json", env=env).json["run_id"] == "r"


def test_a_second_server_in_the_same_place(home: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """A state directory has one server; the error of a second one names the first."""
    env = {"SANCTUM_STATE_DIR": str(home)}
    started.append(start("server", env=environment(**env)))
    wait_until(lambda: running_server(home), "the server runs")

    ran = sanctum("server", env=env)

    assert ran.status == 1
    assert "A server already runs in" in ran.err
    assert "Traceback" not in ran.err


def test_a_server_that_dies(home: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """If the server exits unexpectedly, the status is 1, and the message names its log."""
    process = start("server", "--state-dir", str(home), env=environment())
    started.append(process)
    wait_until(lambda: running_server(home), "the server runs")
    os.kill(int(wait_until(lambda: _server_pid(home), "its process is known")), signal.SIGKILL)

    _, err = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 1
    assert b"the server exited with status" in err
    assert b"server.log" in err


def test_a_full_disk(home: Path) -> None:
    """A state directory that takes nothing is named, with the reason."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command("server", "--state-dir", home)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=environment(),
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"sanctum: cannot write {home}/server.log: File too large. Free disk space")
    assert len(done.stderr.splitlines()) == 1


def _server_pid(home: Path) -> int:
    said = registered(home)
    return said.pid if said else 0


@pytest.mark.parametrize("number", STOPS)
def test_a_worker_runs_until_it_is_told(
    run: Run, started: list[subprocess.Popen[bytes]], number: int
) -> None:
    """`worker` folds what comes, prints nothing on standard output, and ends with status 0."""
    process = start("worker", env=environment(run.url))
    started.append(process)
    run.good("publish", "-", "--run", run.id, stdin=lines_of([EVENT]))
    wait_until(lambda: run.good("runs", "--json").json["state"] == "ended", "the run is folded")

    ran = stop(process, number)

    assert ran.status == 0
    assert ran.out == ""
    assert "worker stopped" in ran.err


def test_a_worker_waits_for_the_embedded_server(home: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """A worker without a URL may be started before the embedded server: it waits for it."""
    env = {"SANCTUM_STATE_DIR": str(home)}
    started.append(start("worker", env=environment(**env)))
    started.append(start("server", env=environment(**env)))
    wait_until(lambda: running_server(home), "the server runs")
    sanctum("publish", "-", "--run", "r", stdin=lines_of([EVENT]), env=env)

    wait_until(lambda: sanctum("runs", "--json", env=env).json["state"] == "ended", "the run is folded", 30)


def test_a_worker_that_waits_can_be_stopped(home: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """A worker that finds no server exits with status 0 on a signal."""
    process = start("worker", env=environment(SANCTUM_STATE_DIR=str(home)))
    started.append(process)
    assert process.stderr is not None
    assert b"redis not found" in process.stderr.readline()

    assert stop(process).status == 0


def test_draining(run: Run) -> None:
    """`--drain` folds what is there and ends; its output is the log alone."""
    run.good("publish", "-", "--run", run.id, stdin=lines_of([EVENT]))

    ran = run.good("worker", "--drain")

    assert ran.out == ""
    assert run.good("runs", "--json").json["state"] == "ended"


def test_draining_one_run(run: Run) -> None:
    """`--run` drains this run and leaves the others; one that is not there is status 1."""
    other = Run(run.url, "other")
    for one in (run, other):
        one.good("publish", "-", "--run", one.id, stdin=lines_of([EVENT]))

    run.good("worker", "--drain", "--run", run.id)
    missing = run.sanctum("worker", "--drain", "--run", "nosuch")

    states = {one["run_id"]: one["state"] for one in run.good("runs", "--json").json_lines}
    assert states == {run.id: "ended", "other": "not folded"}
    assert missing.status == 1
    assert missing.err.splitlines()[-1] == (
        "sanctum: no such run: nosuch; 'sanctum runs' lists the runs on this server"
    )


def test_a_drain_that_is_cut_short(run: Run) -> None:
    """A drain that a signal stops reports that it is incomplete; `worker` alone runs until a signal."""
    run.good("publish", "-", "--run", run.id, stdin=lines_of([EVENT]))

    async def interrupted() -> bool:
        draining = asyncio.create_task(worker._work(load(redis_url=run.url), frozenset(), drain=True))
        # It has begun by now, and waits for the server.
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        return await draining

    assert not asyncio.run(interrupted())
