"""`publish`, `worker --drain`, `show` and `fold`: what was recorded is what is there."""

import gzip
import json
import math
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import DEADLINE_S, SMALL, Run, command, environment, lines_of, sanctum
from tests.support.recordings import Recording
from tests.support.servers import Server
from tests.support.waiting import wait_until

EPOCH = {
    "event_type": "EPOCH_COMPLETED",
    "timestamp": 1.0,
    "event_id": "a",
    "data": {"env_id": 0, "val_accuracy": 1.0},
}


def sections(ran_json: Any) -> dict[str, dict[str, Any]]:
    """The sections of a snapshot, as text so that NaN equals NaN."""
    return {
        name: json.loads(json.dumps(fields), parse_constant=str)
        for name, fields in ran_json["sections"].items()
    }


@pytest.mark.parametrize("recording", SMALL, ids=lambda one: one.id)
def test_a_snapshot_is_the_fold(run: Run, recording: Recording) -> None:
    """Publishing a recording and draining it gives what folding it without a server gives."""
    run.good("publish", recording.path, "--run", run.id)
    run.good("worker", "--drain")
    shown = run.good("show", run.id, "--json").json
    folded = sanctum("fold", recording.path, "--json").json

    assert sections(shown) == sections(folded)
    assert (shown["run_id"], folded["run_id"]) == (run.id, recording.path.name.removesuffix(".jsonl.gz"))
    assert shown.keys() == folded.keys() == {"run_id", "version", "generation", "schema", "sections"}


def test_every_server_serves(server: Server) -> None:
    """Each supported server carries a run from the file to the snapshot."""
    run = Run(server.url)
    recording = SMALL[0]

    run.good("publish", recording.path, "--run", run.id)
    run.good("worker", "--drain")

    assert sections(run.good("show", run.id, "--json").json) == sections(
        sanctum("fold", recording.path, "--json").json
    )


def test_several_files_are_one_run(run: Run, tmp_path: Path) -> None:
    """Files are published one after another by one producer: the run has not ended between them."""
    (tmp_path / "a.jsonl").write_bytes(lines_of([EPOCH]))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines_of([EPOCH | {"event_id": "b"}])))

    said = run.good("publish", tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", "--run", run.id, "--json").json
    run.drain()

    assert (said["emitted"], said["sent"], said["dropped"], said["bad_lines"]) == (2, 2, 0, 0)
    assert len(run.good("show", run.id, "--json").json["sections"]["env:0"]["accuracy_history"]) == 2


def test_bad_lines_are_reported_and_left_out(run: Run, tmp_path: Path) -> None:
    """A line that is not an event is reported with file, number and reason; the others are published."""
    path = tmp_path / "bad.jsonl"
    good = json.dumps(EPOCH)
    path.write_text(f'{good}\n{{"x\n\n[1]\n{{"data": {{}}}}\n{good.replace("a", "b", 1)}\n')

    ran = run.good("publish", path, "--run", run.id)

    assert f"{path}:2: not JSON" in ran.err
    assert f"{path}:4: a list, not an event" in ran.err
    assert f"{path}:5: no `event_type`" in ran.err
    assert len(ran.err.splitlines()) == 3
    assert "2 events published" in ran.out
    assert "3 lines were not events" in ran.out


def test_many_bad_lines_are_not_a_flood(run: Run) -> None:
    """Of many bad lines the first ones are named and the rest is counted."""
    ran = run.good("publish", "-", "--run", run.id, stdin=lines_of([EPOCH]) + b"x\n" * 500)

    assert len(ran.err.splitlines()) == 11
    assert "500 lines are not events; 490 of them are not shown" in ran.err


@pytest.mark.parametrize(
    ("args", "consequence"),
    [
        (["publish", "{path}", "--run", "r"], "; nothing was published"),
        (["fold", "{path}"], ""),
        (["coverage", "--file", "{path}"], ""),
    ],
)
def test_no_event_at_all(run: Run, tmp_path: Path, args: list[str], consequence: str) -> None:
    """An input in which no line is an event is the wrong input: status 1, and no run comes of it."""
    path = tmp_path / "README.md"
    path.write_text("# no\n\nrecording\n")

    ran = run.sanctum(*(arg.format(path=path) for arg in args))

    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines()[2:] == [
        f"sanctum: no event in {path}: each line of a recording must be a JSON object with an `event_type`{consequence}"
    ]
    assert run.good("runs").out == ""


def test_an_empty_recording(run: Run) -> None:
    """An input without any line is a recording of nothing, as of a training that has not begun."""
    assert run.good("publish", "-", "--run", run.id, "--json", stdin=b"\n").json["sent"] == 0


def test_files_are_opened_before_anything_is_sent(run: Run, tmp_path: Path) -> None:
    """If one of several files cannot be opened, nothing is published."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines_of([EPOCH]))

    ran = run.sanctum("publish", path, tmp_path / "nosuch", "--run", run.id)

    assert (ran.status, ran.out) == (1, "")
    assert "nosuch cannot be read" in ran.err
    assert run.good("runs").out == ""


def test_publishing_that_fails_half_way(run: Run, tmp_path: Path) -> None:
    """A failure reports how much was published, and that another attempt would fold it twice."""
    whole, broken = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    whole.write_bytes(lines_of([EPOCH, EPOCH | {"event_id": "b"}]))
    broken.write_bytes(gzip.compress(lines_of([EPOCH]))[:12])

    ran = run.sanctum("publish", whole, broken, "--run", run.id)
    run.drain()

    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"sanctum: {broken} cannot be read: ")
    assert ran.err.endswith(
        "; 2 events were published to run r before that, "
        "and publishing them again, as another producer, would fold them a second time\n"
    )
    assert run.good("runs", "--json").json["events"] == 2


def test_publishing_that_is_interrupted(run: Run) -> None:
    """Ctrl-C reports how much was published, and exits with status 130."""
    process = subprocess.Popen(
        command("publish", "-", "--run", run.id),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(run.url),
    )
    assert process.stdin is not None
    process.stdin.write(lines_of([EPOCH]))
    process.stdin.flush()
    wait_until(lambda: run.good("runs").out, "the event is published")

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 130
    assert err.startswith(
        b"sanctum: interrupted before all events were published; 1 events were published to run r"
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_standard_input(run: Run, pack: Any) -> None:
    """`-` is standard input, gzipped or not, also where it is a pipe that cannot be read twice."""
    run.good("publish", "-", "--run", run.id, stdin=pack(lines_of([EPOCH])))
    run.drain()

    assert run.good("show", run.id, "run", "--json").json["sections"]["run"]["last_event_at"] == 1.0


def test_a_named_pipe(run: Run, tmp_path: Path) -> None:
    """A pipe that has a name is read once too: nothing of it is lost on looking whether it is gzipped."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["/bin/sh", "-c", f"printf '%s\\n' '{json.dumps(EPOCH)}' > '{pipe}'"])

    said = run.good("publish", pipe, "--run", run.id, "--json").json
    writer.wait(DEADLINE_S)

    assert (said["sent"], said["bad_lines"]) == (1, 0)


def test_bare_nan_survives(run: Run) -> None:
    """NaN and infinities, bare in the file, come out as they went in."""
    text = json.dumps(EPOCH | {"data": {"env_id": 0, "val_loss": math.nan, "x": math.inf, "y": [-math.inf]}})

    run.good("publish", "-", "--run", run.id, stdin=text.encode() + b"\n")
    run.drain()
    env = run.good("show", run.id, "env:0", "--json").json["sections"]["env:0"]

    assert math.isnan(env["val_loss"])
    assert (env["x"], env["y"]) == (math.inf, [-math.inf])


def test_the_recorded_pace(run: Run) -> None:
    """With a speed, an event is published as long after the first one as its timestamp is, divided by the speed."""
    events = [EPOCH | {"timestamp": at, "event_id": str(at)} for at in (100.0, 150.0)]

    said = run.good("publish", "-", "--run", run.id, "--speed", "100", "--json", stdin=lines_of(events)).json

    assert said["sent"] == 2
    assert 0.5 <= said["seconds"] < 5


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["publish", "nosuch.jsonl", "--run", "r"], "nosuch.jsonl"),
        (["publish", "-", "--run", "{bad}"], "invalid run ID '{bad}'"),
        (["fold", "nosuch.jsonl"], "nosuch.jsonl"),
        (["fold", "-", "-s", "nosuch"], "there is no section 'nosuch'"),
    ],
)
def test_what_cannot_be_done(run: Run, args: list[str], what: str) -> None:
    """A failure exits with status 1 and one line with the reason."""
    ran = run.sanctum(*args, stdin=lines_of([EPOCH]))

    assert ran.status == 1
    assert ran.err.startswith("sanctum: ")
    assert what in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: packed[:12] + b"\xff" * 40])
def test_a_damaged_archive(run: Run, tmp_path: Path, damage: Any) -> None:
    """A gzip file that is cut off or broken is a sentence and status 1."""
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(damage(gzip.compress(lines_of([EPOCH] * 50))))

    ran = run.sanctum("publish", path, "--run", run.id)

    assert ran.status == 1
    assert str(path) in ran.err
    assert "Traceback" not in ran.err


def test_a_fold_reports_what_it_parks(tmp_path: Path) -> None:
    """An event that cannot be folded is named on standard error, with the reason."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines_of([EPOCH, {"event_type": "REWARD_COMPUTED", "data": {"total_reward": 1.0}}]))

    ran = sanctum("fold", path)

    assert ran.status == 0
    assert "event 2 cannot be folded: " in ran.err


def test_a_fold_of_chosen_sections(tmp_path: Path) -> None:
    """Sections may be chosen by name or pattern."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines_of([EPOCH]))

    assert sanctum("fold", path, "-s", "env:*", "--json").json["sections"].keys() == {"env:0"}
    assert "val_accuracy" in sanctum("fold", path, "-s", "env:0").out


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """A command whose output pipe is closed exits without a message."""
    path = SMALL[0].path
    line = f"{' '.join(command('fold', path, '--json'))} | head -c 10"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
        env=environment(),
    )

    assert done.stdout == '{"generati'
    assert done.stderr == ""
