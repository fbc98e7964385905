"""Worker processes, as `sanctum worker` starts them: added, asked to go, killed, frozen. And the training processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from random import Random

from tests.support.paths import ROOT
from tests.system.chaos.schedule import Kind
from tests.system.chaos.training import Order, Report

#: Seconds within which a stopped worker must exit, and a finished training must report.
_DEADLINE_S = 90.0

#: Seconds until a new process handles signals; before that, SIGTERM just ends it.
_YOUNG_S = 15.0

#: How a traceback begins, and how many characters of its end are shown.
_TRACEBACK, _SAID_CHARS = "Traceback (most recent call last)", 1500

Process = subprocess.Popen[bytes]


class Fleet:
    """Some workers on one server.

    Args:
        url: the server's URL.
        log: file of their logs.
        settings: further settings, by name.
    """

    def __init__(self, url: str, log: Path, **settings: object) -> None:
        self._log = log.open("ab")
        told = {"redis_url": url, "log_level": "warning"} | settings
        self._environ = os.environ | {f"SANCTUM_{name.upper()}": str(value) for name, value in told.items()}
        self.running: list[Process] = []
        self._started: dict[Process, float] = {}
        self._frozen: set[Process] = set()
        self._young: set[Process] = set()
        self._leaving: list[Process] = []

    def add(self) -> Process:
        """Start a worker."""
        command = [sys.executable, "-m", "sanctum_bus.cli", "worker"]
        process = subprocess.Popen(command, env=self._environ, stdout=self._log, stderr=self._log)
        self.running.append(process)
        self._started[process] = time.monotonic()
        return process

    def remove(self, process: Process) -> None:
        """Ask a worker to go."""
        self.running.remove(process)
        if time.monotonic() - self._started[process] < _YOUNG_S:
            self._young.add(process)
        self._leaving.append(process)
        process.send_signal(signal.SIGTERM)

    def kill(self, process: Process) -> None:
        """End a worker as a crash does."""
        self.running.remove(process)
        process.kill()
        process.wait()

    def kinds(self, lease_s: float) -> dict[str, Kind]:
        """The mishaps of workers, with how long each lasts.

        Args:
            lease_s: how long a worker counts as alive after its last beat.
        """
        beyond = lease_s + 1.0
        return {
            "worker killed": Kind(self._is_killed, beyond, beyond + 2.0),
            "worker frozen": Kind(self._is_frozen, beyond, beyond + 2.0),
            "worker added": Kind(self._is_added, beyond, beyond + 2.0),
            "worker removed": Kind(self._is_removed, beyond, beyond + 2.0),
        }

    def end(self) -> list[str]:
        """Stop all workers, and return problems: workers that failed without being killed, and tracebacks."""
        for process in list(self.running):
            self.remove(process)
        problems = []
        for process in self._leaving:
            try:
                status = process.wait(_DEADLINE_S)
            except subprocess.TimeoutExpired:
                problems.append(f"worker {process.pid} did not exit within {_DEADLINE_S:g} s after SIGTERM")
            else:
                fine = {0, -signal.SIGTERM} if process in self._young else {0}
                problems += [f"worker {process.pid} ended badly: {status}"] if status not in fine else []
        said = Path(self._log.name).read_text(errors="replace")
        if _TRACEBACK in said:
            problems.append(f"a worker said: {_last_traceback(said)}")
        return problems

    def close(self) -> None:
        """Leave no process behind."""
        for process in [*self.running, *self._leaving]:
            process.kill()
            process.wait()
        self._log.close()

    def _is_killed(self, chance: Random) -> Callable[[], object]:
        self.kill(self._drawn(chance))
        return self.add

    def _is_removed(self, chance: Random) -> Callable[[], object]:
        self.remove(self._drawn(chance))
        return self.add

    def _is_added(self, chance: Random) -> Callable[[], object]:
        self.add()
        return lambda: self.remove(self._drawn(chance))

    def _is_frozen(self, chance: Random) -> Callable[[], object]:
        process = self._drawn(chance)
        self._frozen.add(process)
        process.send_signal(signal.SIGSTOP)

        def awake() -> None:
            self._frozen.discard(process)
            process.send_signal(signal.SIGCONT)

        return awake

    def _drawn(self, chance: Random) -> Process:
        """A worker that is not frozen; where there is none, a new one."""
        awake = [process for process in self.running if process not in self._frozen]
        return chance.choice(awake) if awake else self.add()


def _last_traceback(said: str) -> str:
    # The rest of the log follows, a JSON object on each line.
    return said.rpartition(_TRACEBACK)[2].partition("\n{")[0][-_SAID_CHARS:]


class Trainings:
    """Training processes at work.

    Args:
        orders: what each of them has to do.
        log: where they write what they have to say.
    """

    def __init__(self, orders: list[Order], log: Path) -> None:
        self._log = log.open("wb")
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.system.chaos.training", json.dumps(asdict(order))],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
            for order in orders
        ]

    def reports(self) -> list[Report]:
        """Wait for them to end, and return what they report.

        Raises:
            RuntimeError, TimeoutExpired: one failed, or does not end.
        """
        found: list[Report] = []
        for process in self._processes:
            told, _ = process.communicate(timeout=_DEADLINE_S)
            if process.returncode:
                said = Path(self._log.name).read_text(errors="replace")[-_SAID_CHARS:]
                raise RuntimeError(f"a training process ended with {process.returncode}, and said: {said}")
            found += [Report(**one) for one in json.loads(told)]
        return found

    def close(self) -> None:
        """Leave no process behind."""
        for process in self._processes:
            process.kill()
            process.communicate()
        self._log.close()
