"""The standard streams: in any state, a command works with them or reports in one line why it cannot."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import DEADLINE_S, SMALL, Ran, Run, command, environment, lines_of

EVENT = {"event_type": "OTHER", "timestamp": 1.0, "data": {}}

#: The error if the output is on a full disk.
FULL = "sanctum: cannot write standard output: No space left on device; the output is incomplete\n"

RECORDING = str(SMALL[0].path)

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


def redirected(run: Run, redirection: str, *args: str, **env: str) -> Ran:
    """Run a command with its streams as a shell sets them up."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *command(*args)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=environment(run.url, **env),
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@needs_full
@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["runs"],
        ["show", "r", "--json"],
        ["log", "r"],
        ["config"],
        ["fold", RECORDING, "--json"],
        ["publish", RECORDING, "--run", "r", "--json"],
    ],
    ids=" ".join,
)
def test_an_output_that_cannot_be_written(run: Run, args: list[str]) -> None:
    """An output that cannot be written is one line with the reason, and status 1."""
    run.publish(EVENT)

    ran = redirected(run, ">/dev/full", *args)

    assert (ran.status, ran.err) == (1, FULL)


@needs_full
def test_nowhere_to_write_at_all(run: Run) -> None:
    """If standard error cannot be written either, the status is still right."""
    run.publish(EVENT)

    assert redirected(run, ">/dev/full 2>&1", "runs").status == 1
    assert redirected(run, "2>/dev/full", "runs").status == 0
    assert redirected(run, "2>/dev/full", "show", "nosuch").status == 1


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
    ],
    ids=["said", "locale"],
)
def test_an_encoding_that_lacks_characters(run: Run, env: dict[str, str]) -> None:
    """A character that the encoding lacks becomes a question mark, and columns stay aligned; JSON loses nothing."""
    picture = redirected(run, "", "fold", RECORDING, **env)
    as_json = redirected(run, "", "fold", RECORDING, "--json", **env)

    assert (picture.status, picture.err) == (0, "")
    assert "????" in picture.out
    assert {len(line) for line in picture.out.splitlines() if line.startswith("|")} == {42, 120}
    assert (as_json.status, "?" in as_json.out) == (0, False)


def test_a_terminal_of_another_encoding(run: Run) -> None:
    """The same rules hold for a terminal and a file."""
    run.play(SMALL[0].path)
    near, far = pty.openpty()
    process = subprocess.Popen(
        command("runs"),
        stdin=far,
        stdout=far,
        stderr=subprocess.PIPE,
        env=environment(run.url, PYTHONIOENCODING="latin-1"),
    )
    os.close(far)
    _, err = process.communicate(timeout=DEADLINE_S)
    shown = os.read(near, 4096)
    os.close(near)

    assert (process.returncode, err) == (0, b"")
    assert b"ended" in shown


@pytest.mark.parametrize(
    "args",
    [["rm", "r"], ["rebuild", "r"], ["dead-letters", "r", "--delete", "all"]],
    ids=" ".join,
)
def test_a_question_without_an_input(run: Run, args: list[str]) -> None:
    """If standard input is closed, nothing is done, and the message names `--yes`."""
    run.publish(EVENT)

    ran = redirected(run, "<&-", *args)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("sanctum: ")
    assert ran.err.endswith("standard input is not a terminal. Use --yes.\n")
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("closed", "args", "expected"),
    [
        ("<&-", ["publish", "-", "--run", "other"], Ran(0, "0 events published", "")),
        (">&-", ["show", "r"], Ran(0, "", "")),
        ("2>&-", ["runs"], Ran(0, "run ", "")),
        ("2>&-", ["show", "nosuch"], Ran(1, "", "")),
        ("<&- >&- 2>&-", ["runs"], Ran(0, "", "")),
    ],
    ids=str,
)
def test_streams_that_are_closed(run: Run, closed: str, args: list[str], expected: Ran) -> None:
    """A closed stream is as good as the null device."""
    run.publish(EVENT)

    ran = redirected(run, closed, *args)

    assert (ran.status, ran.out[: len(expected.out) or None], ran.err) == (
        expected.status,
        expected.out,
        expected.err,
    )


def test_what_is_published_without_an_output(run: Run, tmp_path: Path) -> None:
    """Without an output, a command still does its work."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines_of([EVENT]))

    ran = redirected(run, ">&-", "publish", str(path), "--run", run.id)
    run.drain()

    assert (ran.status, ran.err) == (0, "")
    assert run.good("runs", "--json").json["events"] == 1
