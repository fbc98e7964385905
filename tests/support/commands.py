"""Running `sanctum` as a person does: in a separate process, with a separate environment."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanctum_bus.events.recordings import read
from sanctum_bus.publisher import Publisher
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker
from tests.support.recordings import recordings

#: One small recording of each dialect.
SMALL = tuple(one for one in recordings() if one.name in {"cifar10_2env_2round", "baseline_2env_3round"})

#: Seconds that a command may take.
DEADLINE_S = 60.0

#: Columns of the terminals of commands.
COLUMNS = 160


@dataclass(frozen=True)
class Ran:
    """The output of a command that ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as one JSON value."""
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        """Its output as one JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(url: str | None = None, **more: str) -> dict[str, str]:
    """The environment of a command: nothing of Sanctum's in it but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SANCTUM_", "COLUMNS"))}
    # A home directory without a server, unless the test names one.
    return (
        kept
        | {"SANCTUM_STATE_DIR": "/nonexistent/sanctum"}
        | ({"SANCTUM_REDIS_URL": url} if url else {})
        | more
    )


def command(*args: str | Path) -> list[str]:
    """The command line of `sanctum`."""
    return [sys.executable, "-m", "sanctum_bus.cli", *map(str, args)]


def sanctum(
    *args: str | Path, url: str | None = None, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> Ran:
    """Run a command to its end."""
    done = subprocess.run(
        command(*args),
        input=stdin,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        env=environment(url, **(env or {})),
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def start(*args: str | Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command that stays."""
    return subprocess.Popen(command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env))


def lines_of(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Events as a recording."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


class Run:
    """A run on a server, looked at through the command line.

    Args:
        url: of the server.
        run_id: the run.
    """

    def __init__(self, url: str, run_id: str = "r") -> None:
        self.url = url
        self.id = run_id

    def sanctum(self, *args: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ran:
        """Run a command on the run's server."""
        return sanctum(*args, url=self.url, stdin=stdin, env=env)

    def good(self, *args: str | Path, stdin: bytes = b"") -> Ran:
        """Run a command that must succeed."""
        ran = self.sanctum(*args, stdin=stdin)
        assert ran.status == 0, ran.err
        return ran

    def publish(self, *events: Mapping[str, Any]) -> None:
        """Publish events and fold them, without the command line: what is tested comes after it."""
        with Publisher(self.id, url=self.url) as publisher:
            for event in events:
                publisher.emit(event)
        self.drain()

    def play(self, path: Path) -> None:
        """Publish a recording and fold it."""
        self.publish(*(record.event for record in read(path) if record.event is not None))

    def drain(self) -> None:
        """Fold what is there."""
        asyncio.run(Worker(load(redis_url=self.url)).drain())
