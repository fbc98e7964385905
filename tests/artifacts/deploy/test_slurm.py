"""The Slurm batch script, executed: every rank publishes, the worker next to them folds, nothing is left behind.

`srun` is replaced by a script that starts the requested number of processes, and `scancel` by one that
signals them.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanctum_bus.errors import UnknownRun
from sanctum_bus.reader import Reader
from tests.support.commands import environment
from tests.support.deploy_files import DEPLOY
from tests.support.servers import Server
from tests.support.waiting import wait_until

SCRIPT = DEPLOY / "slurm" / "training.sbatch"
TRAIN = DEPLOY / "slurm" / "train.py"
RANKS = 3
DEADLINE_S = 90.0

#: One process for a step beside the training, else one for each rank.
SRUN = f"""#!/bin/bash
ranks={RANKS}
while [[ "$1" == --* ]]; do
    [ "$1" = --ntasks=1 ] && ranks=1
    shift
done
for ((rank = 0; rank < ranks; rank++)); do
    SLURM_PROCID=$rank SLURMD_NODENAME=node$rank "$@" &
    echo $! >"$STEPS/$!"
done
status=0
for pid in $(jobs -p); do
    wait "$pid" || status=$?
    rm "$STEPS/$pid"
done
exit "$status"
"""

#: A signal to the processes of all steps.
SCANCEL = """#!/bin/bash
[ "$*" = "--signal=TERM 42" ] || exit 1
for step in "$STEPS"/*; do
    [ ! -e "$step" ] || kill -TERM "$(cat "$step")"
done
"""


@pytest.fixture(name="environ")
def _environ(tmp_path: Path, valkey: Server) -> dict[str, str]:
    """The environment of a job."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "srun": SRUN,
        "scancel": SCANCEL,
        "sanctum": f'#!/bin/sh\nexec "{sys.executable}" -m sanctum_bus.cli "$@"\n',
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o700)
    (tmp_path / "steps").mkdir()
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return environment(
        valkey.url, PATH=path, STEPS=str(tmp_path / "steps"), SLURM_JOB_ID="42", WORKER_REDIS_URL=valkey.url
    )


@pytest.fixture(name="jobs")
def _jobs() -> Iterator[list[subprocess.Popen[str]]]:
    """Jobs, each with all its processes gone at the end of the test."""
    jobs: list[subprocess.Popen[str]] = []
    yield jobs
    for job in jobs:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        job.communicate()


def submit(
    jobs: list[subprocess.Popen[str]], environ: dict[str, str], *command: str
) -> subprocess.Popen[str]:
    """Start the batch script in a separate process group, as Slurm does."""
    job = subprocess.Popen(
        [str(SCRIPT), *command],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    jobs.append(job)
    return job


def accuracies(url: str) -> list[float | None]:
    """Return what readers see of each rank; empty before the first commit."""
    try:
        with Reader(url) as reader:
            sections = reader.snapshot("slurm-42").sections
    except UnknownRun:
        return []
    return [sections.get(f"env:{rank}", {}).get("val_accuracy") for rank in range(RANKS)]


def test_every_rank_is_folded_before_the_job_ends(
    environ: dict[str, str], jobs: list[subprocess.Popen[str]], valkey: Server
) -> None:
    """When the job has ended the snapshot has the last epoch of every rank."""
    job = submit(jobs, environ, sys.executable, str(TRAIN))
    _, said = job.communicate(timeout=DEADLINE_S)

    assert job.returncode == 0, said
    assert accuracies(valkey.url) == [100.0] * RANKS


def test_a_job_that_is_told_to_stop_folds_what_there_is(
    environ: dict[str, str], jobs: list[subprocess.Popen[str]], valkey: Server
) -> None:
    """At the time limit the ranks get SIGTERM, and everything they published is folded before the job ends."""
    ends = "import runpy, signal; runpy.run_path({!r}, run_name='__main__'); signal.pause()"
    job = submit(jobs, environ, sys.executable, "-c", ends.format(str(TRAIN)))
    wait_until(lambda: accuracies(valkey.url) == [100.0] * RANKS, "every rank has been folded", DEADLINE_S)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=DEADLINE_S)

    assert job.returncode == 128 + signal.SIGTERM, said
    # The one beside the training, and the one that folded the rest.
    assert said.count("worker stopped") == 2


def test_a_training_that_fails_fails_the_job(
    environ: dict[str, str], jobs: list[subprocess.Popen[str]]
) -> None:
    """The job's status is the training's."""
    code = f"import runpy; runpy.run_path({str(TRAIN)!r}, run_name='__main__'); raise SystemExit(7)"
    job = submit(jobs, environ, sys.executable, "-c", code)
    job.communicate(timeout=DEADLINE_S)

    assert job.returncode == 7


def test_a_job_without_a_server_says_so(environ: dict[str, str], jobs: list[subprocess.Popen[str]]) -> None:
    """The script names a missing variable before it starts anything."""
    del environ["SANCTUM_REDIS_URL"]
    job = submit(jobs, environ, "true")
    _, said = job.communicate(timeout=DEADLINE_S)

    assert job.returncode != 0
    assert "SANCTUM_REDIS_URL" in said
