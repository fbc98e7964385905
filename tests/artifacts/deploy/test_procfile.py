"""`Procfile`, really run by honcho: the server and the worker find one another, fold what is published, and stop."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sanctum_bus.ops.embedded import running_server
from tests.support.commands import SMALL, environment, sanctum
from tests.support.deploy_files import tool
from tests.support.paths import ROOT
from tests.support.servers import VALKEY_9, require
from tests.support.waiting import wait_until

DEADLINE_S = 60.0


@pytest.fixture(name="home")
def _home() -> Iterator[Path]:
    """A state directory whose path is short enough for a socket: what the server listens on needs no free port."""
    require(VALKEY_9)
    with tempfile.TemporaryDirectory(prefix="st-") as path:
        yield Path(path)


@pytest.fixture(name="environ")
def _environ(home: Path) -> dict[str, str]:
    """An environment in which `sanctum` is this one, and nothing runs yet."""
    programs = Path(sys.executable).parent
    env = environment(SANCTUM_STATE_DIR=str(home))
    return env | {"PATH": f"{programs}:{env['PATH']}"}


def here(home: Path, *args: str) -> Any:
    """Return the JSON output of a command that receives only the state directory of the server."""
    ran = sanctum(*args, env={"SANCTUM_STATE_DIR": str(home)})
    assert ran.status == 0, ran.err
    return ran.json


def test_the_procfile_runs(home: Path, environ: dict[str, str]) -> None:
    """Events that are published while it runs are folded and readable; both processes stop cleanly on SIGTERM."""
    honcho = subprocess.Popen(
        [tool("honcho"), "start", "--procfile", ROOT / "Procfile"],
        cwd=home,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(lambda: running_server(home), "the server runs", DEADLINE_S)
        published = sanctum("publish", SMALL[0].path, "--run", "r", env={"SANCTUM_STATE_DIR": str(home)})
        wait_until(
            lambda: here(home, "runs", "--json")["state"] == "ended", "the recording is folded", DEADLINE_S
        )
        view = here(home, "show", "r", "--json")
    finally:
        honcho.terminate()
        said, _ = honcho.communicate(timeout=DEADLINE_S)

    assert published.status == 0, published.err
    assert view["sections"]["run"]
    assert "worker stopped" in said
    assert "the server has stopped" in said
    assert running_server(home) is None


def test_the_procfile_names_a_server_and_a_worker(environ: dict[str, str]) -> None:
    """A file that honcho cannot read is an empty one to it, so what it found is looked at."""
    done = subprocess.run(
        [tool("honcho"), "check"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )

    assert "(server, worker)" in done.stderr
