"""Measured subjects, each in a fresh process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from bench.load import ROOT

#: Time limit of a subject, in seconds.
PATIENCE_S = 600.0

_POLL_S = 0.002


class Failed(Exception):
    """A subject failed; the message contains the end of its output."""


def result_of(
    subject: str, arguments: Mapping[str, Any], environ: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Run a module of `bench.subjects` in a new process, and return its report.

    Args:
        subject: name of the module.
        arguments: arguments of the subject.
        environ: additional environment variables.

    Raises:
        Failed: the subject failed or timed out.
    """
    try:
        done = subprocess.run(
            _command(subject, arguments),
            cwd=ROOT,
            env=_environment(environ),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise Failed(f"{subject}: {error.stderr[-2000:]}") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{subject}: timed out after {PATIENCE_S:g} s") from None
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def subject_process(subject: str, **arguments: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a subject, wait until it prints `ready`, and yield it; kill it at the end."""
    with _started(_command(subject, arguments), {}) as process:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise Failed(f"{subject} did not start")
        yield process


def report_of(process: "subprocess.Popen[str]", word: str = "stop") -> dict[str, Any]:
    """Send a line to a waiting subject, and return its report."""
    out, _ = process.communicate(f"{word}\n", timeout=PATIENCE_S)
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@contextmanager
def worker_process(url: str, **settings: object) -> Iterator["subprocess.Popen[str]"]:
    """Start `sanctum worker`; stop it at the end, or kill it if it does not stop."""
    arguments = {"log_level": "error", "scan_interval_s": 0} | settings
    environ = {f"SANCTUM_{name.upper()}": str(value) for name, value in arguments.items()}
    command = [sys.executable, "-m", "sanctum_bus.cli", "--redis", url, "worker"]
    with _started(command, environ) as process:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


@contextmanager
def _started(command: list[str], environ: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _command(subject: str, arguments: Mapping[str, Any]) -> list[str]:
    return [sys.executable, "-m", f"bench.subjects.{subject}", json.dumps(arguments)]


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    # Ignore settings of the current user.
    own = {name: value for name, value in os.environ.items() if not name.startswith("SANCTUM_")}
    return {**own, "PYTHONWARNINGS": "ignore", **more}


def wait_until(predicate: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> float:
    """Poll until a condition is true, and return the time on the clock `time.perf_counter`.

    Raises:
        Failed: the condition stays false for too long.
    """
    deadline = time.perf_counter() + patience_s
    while not predicate():
        if time.perf_counter() > deadline:
            raise Failed(f"timed out after {patience_s:g} s: {what}")
        time.sleep(_POLL_S)
    return time.perf_counter()
