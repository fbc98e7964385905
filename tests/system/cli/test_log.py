"""`log`: the seed event log, its end, its pages, and what comes next."""

import json
import signal
from typing import Any

from tests.support.commands import DEADLINE_S, Run, environment, start


def seed(number: int) -> dict[str, Any]:
    """One event that makes a line."""
    return {
        "event_type": "SEED_GERMINATED",
        "timestamp": 100.0 + number,
        "event_id": str(number),
        "slot_id": f"r0c{number}",
        "data": {"env_id": 0, "blueprint_id": "norm", "number": number},
    }


def test_the_newest_lines(run: Run) -> None:
    """`-n` prints so many lines, the newest, the oldest of them first."""
    run.publish(*map(seed, range(5)))

    assert [line.rstrip() for line in run.good("log", run.id, "-n", "3").out.splitlines()] == [
        "1970-01-01 00:01:43 env 0  ep 0   r0c3 germinated (norm)",
        "1970-01-01 00:01:44 env 0  ep 0   r0c4 germinated (norm)",
        "1970-01-01 00:01:44               run ended",
    ]


def test_json_is_one_object_a_line(run: Run) -> None:
    """`--json` prints each line as an object with everything that the log holds of it."""
    run.publish(seed(1))

    first = run.good("log", run.id, "--json").json_lines[0]

    assert first.keys() >= {
        "id",
        "type",
        "at",
        "env_id",
        "slot_id",
        "blueprint_id",
        "episode",
        "message",
        "data",
    }
    assert (first["type"], first["slot_id"], first["data"]["number"]) == ("SEED_GERMINATED", "r0c1", 1)


def test_lines_after_an_id(run: Run) -> None:
    """`--after` prints every line after an ID, so that a script can continue where it stopped."""
    run.publish(*map(seed, range(30)))
    lines = run.good("log", run.id, "-n", "1000", "--json").json_lines

    rest = run.good("log", run.id, "--after", lines[4]["id"], "--json").json_lines

    assert rest == lines[5:]


def test_no_line(run: Run) -> None:
    """A run with an empty log is not an error."""
    run.publish({"event_type": "OTHER", "timestamp": 1.0, "data": {}})

    assert [line["type"] for line in run.good("log", run.id, "--json").json_lines] == ["_closed"]
    assert run.good("log", run.id, "-n", "0").out == ""


def test_following(run: Run) -> None:
    """`--follow` prints the newest lines, then each as it comes, and Ctrl-C ends it in good order."""
    run.publish(seed(1))
    process = start("log", run.id, "-n", "1", "--follow", "--json", env=environment(run.url))
    assert process.stdout is not None

    try:
        assert json.loads(process.stdout.readline())["type"] == "_closed"
        run.publish(seed(2))
        assert json.loads(process.stdout.readline())["slot_id"] == "r0c2"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()

    assert process.returncode == 0
    assert err == b""
