"""`rm`: a run is removed completely, and only after confirmation."""

import os
import pty
import subprocess

import pytest

from sanctum_bus.errors import UnknownRun
from sanctum_bus.ops import runs
from sanctum_bus.protocol.keys import RunKeys
from tests.support.commands import DEADLINE_S, SMALL, Run, command, environment
from tests.support.servers import Server


def test_nothing_remains(run: Run, valkey: Server) -> None:
    """No key of the run is left, and its name is gone from the index; other runs stay as they were."""
    other = Run(run.url, "other")
    other.publish({"event_type": "OTHER", "data": {}})
    with valkey.client() as client:
        before = set(client.keys())
        run.play(SMALL[0].path)
        ran = run.good("rm", run.id, "--yes")

        assert set(client.keys()) == before
        assert client.zrange("nissa:runs", 0, -1) == [b"other"]
    assert ran.out.startswith(f"run {run.id} removed (")


def test_nobody_to_ask(run: Run) -> None:
    """Without a terminal and without `--yes` nothing is removed."""
    run.publish({"event_type": "OTHER", "data": {}})

    ran = run.sanctum("rm", run.id)

    assert ran.status == 1
    assert "--yes" in ran.err
    assert run.good("show", run.id, "--json").json["run_id"] == run.id


@pytest.mark.parametrize(
    ("answer", "status", "left"), [(b"y\n", 0, []), (b"n\n", 1, ["r"]), (b"\n", 1, ["r"])]
)
def test_the_question(run: Run, answer: bytes, status: int, left: list[str]) -> None:
    """On a terminal there is a question, and only a yes removes the run."""
    run.publish({"event_type": "OTHER", "data": {}})
    near, far = pty.openpty()
    process = subprocess.Popen(
        command("rm", run.id), stdin=far, stdout=far, stderr=far, env=environment(run.url)
    )
    os.close(far)
    os.write(near, answer)

    assert process.wait(DEADLINE_S) == status
    os.close(near)
    assert [one["run_id"] for one in run.good("runs", "--json").json_lines] == left


def test_a_name_without_keys(valkey: Server) -> None:
    """A name that is left in the index alone can be removed too; one that is nowhere cannot."""
    run = RunKeys("ghost")
    with valkey.client() as client:
        client.zadd("nissa:runs", {"ghost": 1.0})

        assert runs.remove_run(client, run) == 0
        with pytest.raises(UnknownRun, match="no run 'ghost'"):
            runs.remove_run(client, run)
