"""`show`, `runs` and what is printed for people."""

import json
import re
from typing import Any

import pytest

from tests.support.commands import SMALL, Run, sanctum
from tests.support.recordings import Recording

HOSTILE = "\x1b[31mred\x07 \x9b2J [bold]x[/bold] \u202etxt\u2066 tab\tnew\nline"

START = {
    "event_type": "TRAINING_STARTED",
    "timestamp": 100.0,
    "event_id": "start",
    "data": {"n_envs": 2, "task": HOSTILE, "slot_ids": ["r0c0"], "max_epochs": 25},
}
SEED = {
    "event_type": "SEED_GERMINATED",
    "timestamp": 101.0,
    "event_id": "seed",
    "slot_id": "r0c0",
    "data": {"env_id": 0, "blueprint_id": HOSTILE, "loss": float("nan")},
}

#: Characters that a terminal interprets, and characters that reverse text.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def refuse(token: str) -> Any:
    """Reject constants that are not JSON."""
    raise ValueError(token)


def test_json_is_one_object(run: Run) -> None:
    """`show --json` prints one object on one line, with sorted keys and all sections."""
    run.publish(START, SEED)

    ran = run.good("show", run.id, "--json")
    shown = ran.json

    assert len(ran.out.splitlines()) == 1
    assert list(shown) == sorted(shown)
    assert list(shown["sections"]) == sorted(shown["sections"])
    assert shown["run_id"] == run.id
    assert shown["sections"]["env:0"]["env_id"] == 0
    assert re.fullmatch(r"\d+-\d+", shown["version"])


def test_json_has_tokens_unless_it_is_strict(run: Run) -> None:
    """NaN is a token, which some parsers refuse; with `--strict` it is text, which none does."""
    run.publish(START, SEED)

    loose = run.good("show", run.id, "--json").out
    strict = run.good("show", run.id, "--json", "--strict").out

    with pytest.raises(ValueError, match="NaN"):
        json.loads(loose, parse_constant=refuse)
    assert json.loads(strict, parse_constant=refuse)["sections"]["seed:0:r0c0"]["loss"] == "NaN"


@pytest.mark.parametrize("recording", SMALL, ids=lambda one: one.id)
def test_a_strict_fold_is_strict_json(recording: Recording) -> None:
    """A parser without NaN accepts `fold --strict` of every recording."""
    json.loads(sanctum("fold", recording.path, "--json", "--strict").out, parse_constant=refuse)


def test_sections_by_pattern(run: Run) -> None:
    """Sections are chosen by name or pattern."""
    run.publish(START, SEED)

    shown = run.good("show", run.id, "env:*", "run", "--json").json

    assert set(shown["sections"]) == {"env:0", "env:1", "run"}


def test_since_a_version(run: Run) -> None:
    """`--since` brings the names of all sections and the contents of those that changed."""
    run.publish(START)
    version = run.good("show", run.id, "--json").json["version"]
    run.publish(SEED)

    changed = run.good("show", run.id, "--json", "--since", version).json

    assert "seed:0:r0c0" in changed["sections"]
    assert "env:1" not in changed["sections"]
    assert {"env:0", "env:1", "run", "seed:0:r0c0"} <= set(changed["names"])
    assert changed["since"] == version


@pytest.mark.parametrize(
    "args",
    [
        ["show", "{run}"],
        ["show", "{run}", "*"],
        ["log", "{run}"],
        ["coverage", "{run}", "--fields"],
        ["runs"],
    ],
)
def test_nothing_that_a_terminal_obeys(run: Run, args: list[str]) -> None:
    """Text from telemetry comes out without control characters, and its brackets are brackets."""
    run.publish(START, SEED)

    ran = run.good(*(arg.format(run=run.id) for arg in args))

    assert OBEYED.findall(ran.out + ran.err) == []
    if args[0] == "log":
        assert "[bold]x[/bold]" in ran.out


def test_json_escapes_what_a_terminal_obeys(run: Run) -> None:
    """JSON loses nothing, and still has nothing in it that a terminal obeys."""
    run.publish(START, SEED)

    shown, log = run.good("show", run.id, "--json"), run.good("log", run.id, "--json")

    assert OBEYED.findall(shown.out + log.out) == []
    assert shown.json["sections"]["run"]["task"] == HOSTILE
    assert [line["data"].get("blueprint_id") for line in log.json_lines] == [None, HOSTILE, None]


def test_a_pipe_gets_no_colours(run: Run) -> None:
    """Without a terminal there are no escape sequences, and no line ends with blanks."""
    run.publish(START, SEED)

    out = run.good("show", run.id).out

    assert "\x1b" not in out
    assert [line for line in out.splitlines() if line != line.rstrip()] == []


def test_the_picture_names_what_there_is(run: Run) -> None:
    """Without sections `show` prints a picture of the run and which sections there are."""
    run.publish(START, SEED)

    out = run.good("show", run.id).out

    assert "2 environments" in out
    assert "GERMINATED" in out
    assert "env x2" in out


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_picture_fits(run: Run, width: int) -> None:
    """No line of the picture is longer than the terminal is wide."""
    run.publish(START, SEED)

    ran = run.sanctum("show", run.id, env={"COLUMNS": str(width)})

    assert max(len(line) for line in ran.out.splitlines()) <= width


def test_a_picture_in_a_file_fits(run: Run) -> None:
    """Without a known width, no line of the picture exceeds 120 columns."""
    run.publish(START, SEED)

    assert max(len(line) for line in run.good("show", run.id).out.splitlines()) <= 120


def test_a_run_that_nobody_folded(run: Run) -> None:
    """A run without a worker is shown, and the picture names what is missing."""
    run.good("publish", "-", "--run", run.id, stdin=json.dumps(START).encode())

    ran = run.good("show", run.id)

    assert "start a worker: sanctum worker" in ran.out
    assert run.good("runs", "--json").json["state"] == "not folded"


def test_runs(run: Run) -> None:
    """`runs` lists every run, with how it is; the one that was active last comes first."""
    run.publish(START)
    other = Run(run.url, "other")
    other.publish(START)

    found = run.good("runs", "--json").json_lines

    assert [one["run_id"] for one in found] == ["other", run.id]
    assert {one["state"] for one in found} == {"ended"}
    assert [one["events"] for one in found] == [1, 1]
    assert re.search(r"(?m)^other +", run.good("runs").out)


def test_no_runs(run: Run) -> None:
    """An empty server has no runs: nothing on standard output, a word on the other."""
    ran = run.good("runs")

    assert ran.out == ""
    assert "no runs on this server" in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ["show", "nosuch"],
        ["log", "nosuch"],
        ["coverage", "nosuch"],
        ["dead-letters", "nosuch"],
        ["rm", "nosuch", "--yes"],
    ],
)
def test_an_unknown_run(run: Run, args: list[str]) -> None:
    """An unknown run exits with status 1 and a sentence with the remedy."""
    ran = run.sanctum(*args)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "sanctum: there is no run 'nosuch' on this server; 'sanctum runs' lists the runs\n"


def test_an_unknown_section(run: Run) -> None:
    """A section that is not there is status 1, and the sentence lists the kinds that are."""
    run.publish(START)

    ran = run.sanctum("show", run.id, "nosuch")

    assert ran.status == 1
    assert ran.err == "sanctum: there is no section 'nosuch'; there are: env:*, run\n"


def test_another_prefix_is_another_world(run: Run) -> None:
    """`--prefix` separates what shares a server."""
    run.publish(START)

    assert run.good("--prefix", "other", "runs").out == ""
    assert run.good("--prefix", "nissa", "runs", "--json").json["run_id"] == run.id
