"""Worker processes that are killed or stopped at any moment: the snapshot is as if one worker had never stopped."""

import os
import random
import signal
import time
from typing import Any

import pytest

from tests.support.fold_run import Entry
from tests.support.recordings import recordings
from tests.support.servers import Server, StartServer
from tests.support.waiting import wait_until
from tests.support.worker_processes import worker_process
from tests.support.worker_rig import Side, assert_is_fold, drain, plain, side_of, story

SIZES = [1, 2, 7, 100, 1000, 5000]


def _numbered(entries: list[Entry]) -> list[Entry]:
    return [
        {**entry, b"producer": b"p", b"seq": str(seq).encode()} for seq, entry in enumerate(entries, start=1)
    ]


def _recorded() -> list[Entry]:
    """A recorded run with sequence numbers. One entry of each hundred is invalid, and some entries are sent twice."""
    found = min(
        (one for one in recordings() if one.dialect == "current"), key=lambda one: one.path.stat().st_size
    )
    entries = [entry for _, entry in found.entries()][:2500]
    for place in range(50, len(entries), 100):
        entries[place] = {b"type": b"X", b"event": b"\xc1"}
    numbered = _numbered(entries)
    return [*numbered[:900], *numbered[880:]]


def _view(side: Side) -> dict[str, Any]:
    """The raw content of a run, without the parts that depend on the worker and the time."""
    counters = (
        "version",
        "entries",
        "events",
        "parked",
        "duplicates",
        "lost",
        "lost_ranges",
        "producers",
        "closed",
    )
    return {
        "sections": side.sections(),
        "index": side.index(),
        "log": side.lines(side.keys.log),
        "batches": side.lines(side.keys.batches),
        "coverage": side.coverage(),
        "dead": side.dead(),
        "counters": {name: side.checkpoint(name) for name in counters},
    }


def _entries(side: Side) -> int:
    return int(side.checkpoint("entries") or 0)


def _live_and_die(server: Server, side: Side, chance: random.Random, size: int) -> None:
    """Start a worker and kill it right after it has acquired the run, or after some more entries."""
    if _entries(side) == side.redis.xlen(side.keys.events):
        return  # no worker acquires a run whose entries are all folded
    generation = side.checkpoint("generation")
    target = _entries(side) + chance.choice([0, chance.randrange(1, 700)])
    settings = {"read_batch_size": size, "commit_max_entries": size, "commit_interval_ms": 60_000}
    with worker_process(server, **settings) as process:
        wait_until(
            lambda: (
                side.checkpoint("generation") != generation
                and (_entries(side) >= target or _entries(side) == side.redis.xlen(side.keys.events))
            ),
            "the worker has folded the entries",
        )
        process.kill()
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("size", SIZES)
def test_kill_9_at_any_moment_leaves_no_trace(valkey: Server, size: int) -> None:
    """A2, A12: a run whose workers are killed four times has the same bytes as an undisturbed run, for each read size."""
    entries, chance = _recorded(), random.Random(size)  # noqa: S311  # tests repeat
    now = int(time.time() * 1000)
    ids = [f"{now}-{number}" for number in range(len(entries))]
    calm, killed = side_of(valkey, "calm"), side_of(valkey, "killed")
    calm.add(entries, ids=ids)
    drain(valkey)
    killed.add(entries, ids=ids)
    for _ in range(4):
        _live_and_die(valkey, killed, chance, size)

    drain(valkey, read_batch_size=size, commit_max_entries=size)

    assert _view(killed) == _view(calm)
    assert_is_fold(killed)
    assert killed.pending() == 0


def test_kill_9_on_every_server(server: Server) -> None:
    """A2, A12: kills leave no trace on any kind of server."""
    side, chance = side_of(server), random.Random(0)  # noqa: S311  # tests repeat
    side.add(_recorded())
    for _ in range(2):
        _live_and_die(server, side, chance, 5)

    drain(server)

    assert_is_fold(side)
    assert side.pending() == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("commit", SIZES)
def test_any_batches_and_commits_give_the_same(valkey: Server, size: int, commit: int) -> None:
    """The number of entries per read and per commit does not change the snapshot."""
    side = side_of(valkey)
    side.add([one for first in range(0, 160, 8) for one in story(first)])

    drain(valkey, read_batch_size=size, commit_max_entries=commit)

    assert_is_fold(side)
    assert side.checkpoint("entries") == "160"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_commits_what_was_read(server: Server, number: signal.Signals) -> None:
    """A worker that is stopped during a backlog commits what it has read, leaves nothing pending, and exits with 0."""
    side = side_of(server)
    side.add(plain(20_000))
    with worker_process(server, read_batch_size=20, commit_max_entries=100) as process:
        wait_until(lambda: _entries(side) > 0, "the worker has folded an entry")
        process.send_signal(number)
        assert process.wait(10) == 0

    assert 0 < _entries(side) < 20_000
    assert side.pending() == 0
    assert_is_fold(side, side.stream()[: _entries(side)])


def test_an_idle_worker_stops_at_once(valkey: Server) -> None:
    """A stop does not wait for the end of a blocking read."""
    side = side_of(valkey)
    side.add(plain(3))
    with worker_process(
        valkey, poll_timeout_ms=20_000, socket_timeout_s=21, shutdown_timeout_s=30
    ) as process:
        wait_until(lambda: _entries(side) == 3, "all is folded")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_second_signal_ends_it_now(start_server: StartServer) -> None:
    """A worker that waits for a frozen server exits at the second signal, before any time-out."""
    server = start_server()
    side = side_of(server)
    side.add(plain(3))
    with worker_process(server, socket_timeout_s=30, shutdown_timeout_s=60) as process:
        wait_until(lambda: _entries(side) == 3, "all is folded")
        os.kill(server.pid, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 1
