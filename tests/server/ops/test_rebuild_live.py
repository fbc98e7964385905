"""Rebuilding a run while its owner folds and its publisher publishes: no entry is lost or folded twice."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sanctum_bus.errors import Unavailable
from sanctum_bus.ops.dead_letters import requeue
from sanctum_bus.ops.rebuild import rebuild_run
from sanctum_bus.publisher import Publisher
from tests.support.repairs import HOPELESS, assert_is_right, misnumbered
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_processes import worker_process
from tests.support.worker_rig import Side, plain, settings_of, side_of

ROUNDS = 5


@contextmanager
def _published(server: Server) -> Iterator[None]:
    """Run a publisher; at the end it has sent everything."""
    enough = threading.Event()

    def publish() -> None:
        number = 0
        with Publisher("r", url=server.url, linger_s=0.002) as publisher:
            while not enough.is_set():
                publisher.emit(
                    {"type": "REWARD_COMPUTED", "data": {"env_id": number % 4, "total_reward": 1.0}}
                )
                number += 1
                if number % 10 == 0:
                    enough.wait(0.005)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _is_folded(side: Side) -> bool:
    return side.checkpoint() == side.stream()[-1][0]


@pytest.mark.parametrize("workers", [1, 2])
def test_under_a_worker_at_work(server: Server, workers: int) -> None:
    """A15, A18: each rebuild succeeds at the first call, and in the end the snapshot is the fold of the stream."""
    side = side_of(server)
    side.add([*plain(3000), misnumbered(1), HOPELESS])
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(worker_process(server, stream_retain_entries=1_000_000))
        generations = []
        with _published(server):
            wait_until(lambda: int(side.checkpoint("entries") or 0) > 3002, "the worker is at work")
            for _ in range(ROUNDS):
                built = rebuild_run(side.redis, side.keys, settings_of(server))
                generations.append(built.generation)
                wait_until(
                    lambda mine=built.generation: int(side.checkpoint("generation")) > mine,  # type: ignore[misc]
                    "the owner has acquired the run again",
                )
                wait_until(lambda: _is_put_back(side), "the dead letters can be requeued")
        wait_until(lambda: _is_folded(side), "all is folded")

    assert generations == sorted(set(generations))
    assert (side.checkpoint("lost"), side.checkpoint("duplicates")) == ("{}", "0")
    assert_is_right(side)


def _is_put_back(side: Side) -> bool:
    """Requeue every dead letter, unless the owner is behind the entries that the rebuild has read."""
    try:
        return bool(requeue(side.redis, side.keys, None).done)
    except Unavailable:
        return False


def test_a_worker_that_trims(server: Server) -> None:
    """A stream that its worker trims all the time is partially rebuilt, and the worker continues without a loss."""
    side = side_of(server)
    first = side.add(plain(3000))[0]
    with worker_process(server, stream_retain_entries=100):
        with _published(server):
            wait_until(lambda: side.stream()[0][0] != first, "the worker has trimmed")
            for _ in range(ROUNDS):
                built = rebuild_run(side.redis, side.keys, settings_of(server), partial=True)
                assert built.missing > 0
        wait_until(lambda: _is_folded(side), "all is folded")

    info = side.redis.xinfo_stream(side.keys.events)
    taken = int(side.checkpoint("entries")) - int(side.checkpoint("entries_before"))
    assert taken == info["entries-added"]
    assert set(side.sections()) >= {"env:0", "env:1", "env:2", "env:3"}
