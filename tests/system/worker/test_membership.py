"""Several workers: each folds its share, a new worker gets its share at once, and a stopped one is replaced."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest
from redis import Redis

from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_processes import worker_process

RUNS = [f"run-{number}" for number in range(12)]

#: Times close to the shipped defaults, so that the tests check what users get.
DEFAULTS = {"heartbeat_interval_s": 0.5, "lease_s": 4.0, "poll_timeout_ms": 1000}


#: Seconds: several times `lease_s`, because a busy machine is slow.
_PATIENCE_S = 20.0


def add(client: "Redis", runs: list[str], number: int) -> dict[str, str]:
    """Add one event to each run, and return the stream IDs by run."""
    event = f'{{"data":{{"number":{number}}}}}'
    return {
        run: cast("bytes", client.xadd(RunKeys(run).events, {"type": "TICK", "json": event})).decode()
        for run in runs
    }


def owners(client: "Redis") -> dict[str, str]:
    """The owner of each run, from the checkpoints."""
    found = {run: cast("bytes | None", client.hget(RunKeys(run).checkpoint, "owner")) for run in RUNS}
    return {run: owner.decode() for run, owner in found.items() if owner}


def generations(client: "Redis") -> dict[str, bytes]:
    """The generation of each run."""
    return {run: cast("bytes", client.hget(RunKeys(run).checkpoint, "generation")) for run in RUNS}


def folded(client: "Redis", ids: dict[str, str]) -> bool:
    """Whether the version of every run is its last entry."""
    return all(client.hget(RunKeys(run).checkpoint, "version") == last.encode() for run, last in ids.items())


@pytest.fixture(name="client")
def _client(valkey: Server) -> Iterator["Redis"]:
    with valkey.client() as client:
        yield client


def start(stack: ExitStack, server: Server, **settings: object) -> "subprocess.Popen[bytes]":
    """Start a worker process with these times."""
    return stack.enter_context(worker_process(server, **(DEFAULTS | {"scan_interval_s": 0.5} | settings)))


def workers(client: "Redis") -> int:
    """The number of live workers."""
    return client.zcard(keys.workers())


def test_a_worker_that_joins_takes_its_share_and_moves_nothing_else(valkey: Server, client: "Redis") -> None:
    """A worker that joins owns its share at once; the other runs are not acquired again."""
    with ExitStack() as stack:
        start(stack, valkey)
        ids = add(client, RUNS, 1)
        wait_until(lambda: folded(client, ids), "the first worker folds every run")
        before, fenced = owners(client), generations(client)
        start(stack, valkey)
        wait_until(lambda: workers(client) == 2, "the second worker joins")
        wait_until(lambda: len(set(owners(client).values())) == 2, "the second takes its share")
        ids = add(client, RUNS, 2)
        wait_until(lambda: folded(client, ids), "both fold their share")

        stayed = {run for run, owner in owners(client).items() if owner == before[run]}
        assert stayed
        assert {run for run in RUNS if generations(client)[run] == fenced[run]} == stayed


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_goes_is_replaced(valkey: Server, client: "Redis", how: signal.Signals) -> None:
    """After SIGTERM the runs of a worker move at once; after SIGKILL they move when its lease ends."""
    with ExitStack() as stack:
        leaver = start(stack, valkey)
        start(stack, valkey)
        ids = add(client, RUNS, 1)
        wait_until(
            lambda: folded(client, ids) and len(set(owners(client).values())) == 2, "both fold their share"
        )
        leaver.send_signal(how)
        leaver.wait(10)
        ids = add(client, RUNS, 2)

        wait_until(lambda: folded(client, ids), "the remaining worker folds every run", _PATIENCE_S)
        assert len(set(owners(client).values())) == 1


def test_a_frozen_worker_is_replaced_and_fenced(valkey: Server, client: "Redis") -> None:
    """The runs of a worker that is frozen beyond its lease move; when it continues it overwrites nothing, and joins again."""
    with ExitStack() as stack:
        frozen = start(stack, valkey)
        start(stack, valkey)
        ids = add(client, RUNS, 1)
        wait_until(
            lambda: folded(client, ids) and len(set(owners(client).values())) == 2, "both fold their share"
        )
        frozen.send_signal(signal.SIGSTOP)
        ids = add(client, RUNS, 2)
        wait_until(lambda: folded(client, ids), "the other folds every run", _PATIENCE_S)
        frozen.send_signal(signal.SIGCONT)
        ids = add(client, RUNS, 3)
        wait_until(
            lambda: folded(client, ids) and len(set(owners(client).values())) == 2, "both fold again", 6.0
        )

        counts = {run: client.hget(RunKeys(run).section("event:TICK"), "count") for run in RUNS}
        assert counts == dict.fromkeys(RUNS, b"3")


def test_a_run_sleeps_and_wakes(valkey: Server, client: "Redis") -> None:
    """A run without events is released; the next event reactivates it, also if no producer registered it."""
    with ExitStack() as stack:
        start(stack, valkey, idle_timeout_s=1.0)
        ids = add(client, RUNS[:1], 1)
        wait_until(lambda: folded(client, ids), "the run is folded")
        wait_until(lambda: not owners(client), "the run is released")
        ids = add(client, RUNS[:1], 2)

        wait_until(lambda: folded(client, ids), "the run wakes")


def test_a_run_beyond_its_retention_is_removed_as_a_whole(valkey: Server, client: "Redis") -> None:
    """A run without unread entries expires: all its keys are deleted in one step, then its entry in the index."""
    with ExitStack() as stack:
        start(stack, valkey, idle_timeout_s=1.0, retention_s=2.0)
        ids = add(client, RUNS[:1], 1)
        wait_until(lambda: folded(client, ids), "the run is folded")

        wait_until(lambda: not client.keys(RunKeys(RUNS[0]).base + "*"), "every key of the run is gone")
        # The index may be on another node of a cluster, so a second request changes it.
        wait_until(lambda: client.zscore(keys.runs(), RUNS[0]) is None, "the index does not name it any more")
