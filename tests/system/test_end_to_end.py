"""The main job on real input: the result of publish, drain and show equals a plain fold of the file."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sanctum_bus.events import recordings
from sanctum_bus.fold import offline
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.text import dump_json
from sanctum_bus.publisher import Publisher
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker
from tests.support.recordings import Recording
from tests.support.recordings import recordings as all_recordings
from tests.support.servers import Server
from tests.support.waiting import wait_until

#: Recordings that are on every machine, and small.
SMALL = ("current/baseline_2env_3round", "dec19/cifar10_2env_2round", "plan/cifar10_2env_2round")


def sanctum(server: Server, *words: str, stdin: bytes | None = None) -> str:
    """Run the command against a server, and return what it printed."""
    environment = os.environ | {"SANCTUM_REDIS_URL": server.url}
    command = [sys.executable, "-m", "sanctum_bus.cli", *words]
    result = subprocess.run(command, env=environment, input=stdin, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def shown(text: str) -> dict[str, Any]:
    """The sections of one printed object, each value as the text that JSON gives it: NaN equals NaN there."""
    sections = json.loads(text)["sections"]
    return {
        name: {field: json.dumps(value, sort_keys=True) for field, value in fields.items()}
        for name, fields in sections.items()
    }


def folded(recording: Recording) -> dict[str, Any]:
    """The sections that a plain fold of the file has."""
    sections = offline.fold_records(recordings.read(recording.path)).state.sections
    return shown(dump_json({"sections": sections}))


@pytest.mark.parametrize("recording", all_recordings(), ids=lambda recording: recording.id)
def test_published_and_drained_is_the_fold_of_the_file(valkey: Server, recording: Recording) -> None:
    """`publish`, `worker --drain` and `show --json` print exactly what `fold --json` prints; nothing is parked."""
    sanctum(valkey, "publish", str(recording.path), "--run", "r", "--speed", "max")
    sanctum(valkey, "worker", "--drain")
    view = sanctum(valkey, "show", "r", "--json")

    assert shown(view) == shown(sanctum(valkey, "fold", str(recording.path), "--json"))
    assert sanctum(valkey, "dead-letters", "r", "--json").strip() in {"", "[]"}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("entries", [1, 2, 7, 100, 1_000, 5_000])
def test_the_batch_size_does_not_matter(server: Server, entries: int, name: str) -> None:
    """Any split of the stream into reads and commits ends in the same sections, on every kind of server."""
    recording = next(one for one in all_recordings() if one.id == name)
    with Publisher("r", url=server.url) as publisher:
        for record in recordings.read(recording.path):
            publisher.emit(record.event)
    settings = load(redis_url=server.url, read_batch_size=entries, commit_max_entries=max(entries, 2))
    asyncio.run(Worker(settings).drain())

    assert shown(sanctum(server, "show", "r", "--json")) == folded(recording)


def slow_worker(server: Server) -> "subprocess.Popen[bytes]":
    """A worker process that reads and commits one entry at a time."""
    environment = os.environ | {
        "SANCTUM_REDIS_URL": server.url,
        "SANCTUM_READ_BATCH_SIZE": "1",
        "SANCTUM_COMMIT_MAX_ENTRIES": "1",
    }
    command = [sys.executable, "-m", "sanctum_bus.cli", "worker"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("name", SMALL)
def test_pieces_and_a_killed_worker_do_not_matter(server: Server, name: str, tmp_path: Path) -> None:
    """With several publisher processes, a killed worker between them and a successor, the result is the same."""
    recording = next(one for one in all_recordings() if one.id == name)
    lines = gzip.decompress(recording.path.read_bytes()).splitlines(keepends=True)
    third = len(lines) // 3 + 1
    with server.client() as client:
        for start in range(0, len(lines), third):
            piece = tmp_path / f"{start}.jsonl"
            piece.write_bytes(b"".join(lines[start : start + third]))
            before = client.hget(RunKeys("r").checkpoint, "version")
            sanctum(server, "publish", str(piece), "--run", "r", "--speed", "max")
            with slow_worker(server) as worker:
                wait_until(
                    lambda before=before: (
                        client.hget(RunKeys("r").checkpoint, "version") not in {before, b"0-0"}
                    ),  # type: ignore[misc]
                    "the worker commits",
                )
                worker.send_signal(signal.SIGKILL)
    sanctum(server, "worker", "--drain")

    assert shown(sanctum(server, "show", "r", "--json")) == folded(recording)
