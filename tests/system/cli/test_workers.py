"""`sanctum workers`: who is there, what each folds, how far it is behind; who has gone is not there any more."""

import json
import signal
from typing import cast

from redis import Redis

from sanctum_bus.protocol import keys
from tests.support.commands import Run
from tests.support.servers import Server
from tests.support.waiting import wait_until
from tests.support.worker_processes import worker_process
from tests.support.worker_rig import plain, side_of

#: Longer than a busy machine is silent, and short enough to wait for.
ALIVE_S = 4.0

NAMES = [f"run-{number}" for number in range(12)]


def folded(run: Run) -> dict[str, list[str]]:
    """Return the runs that each worker reports, once all are folded and every lag is known; else None."""
    said = run.good("workers", "--json").json_lines
    if sum(one.get("owned", 0) for one in said) != len(NAMES) or any(
        one["lag_events"] is None for one in said
    ):
        return {}
    return {one["worker"]: list(one["runs"]) for one in said}


def told(client: "Redis") -> set[str]:
    """The workers that have said something of themselves, and are not forgotten."""
    return {one.decode() for one in cast("list[bytes]", client.hkeys(keys.workers_state()))}


def test_two_workers_of_which_one_is_killed(valkey: Server, run: Run) -> None:
    """Both are listed with the runs that each folds; of one that was killed nothing is left when its time is over."""
    client = valkey.client()
    with worker_process(valkey, lease_s=ALIVE_S), worker_process(valkey, lease_s=ALIVE_S) as second:
        wait_until(lambda: client.zcard(keys.workers()) == 2, "both workers are there")
        for name in NAMES:
            side_of(valkey, name).add(plain(1))
        both = wait_until(lambda: found if len(found := folded(run)) == 2 else {}, "both say what they fold")
        owners = {name: side_of(valkey, name).checkpoint("owner") for name in NAMES}
        assert sorted(name for names in both.values() for name in names) == sorted(NAMES)
        assert all(owners[name] == worker for worker, names in both.items() for name in names)

        shown = run.good("workers", "-v").out
        assert all(name in shown for name in [*both, *NAMES])
        second.send_signal(signal.SIGKILL)
        second.wait(10)
        left = wait_until(lambda: found if len(found := folded(run)) == 1 else {}, "one of them folds all")
        wait_until(lambda: told(client) == left.keys(), "the other is forgotten")


def test_the_last_error_is_shown(valkey: Server, run: Run) -> None:
    """The last error of a worker is shown with its task and its age."""
    side = side_of(valkey)
    side.redis.set(side.keys.events, "x")
    side.redis.zadd(keys.runs(), {side.keys.run_id: 4e12})
    with worker_process(valkey, lease_s=ALIVE_S):
        wait_until(lambda: "has type string" in run.good("workers").out, "the error is shown")
        (said,) = run.good("workers", "--json").json_lines

    assert (said["last_error"]["work"], said["last_error"]["where"]) == ("run", side.keys.run_id)
    assert said["owned"] == 0


def test_a_worker_that_stops_leaves_nothing(valkey: Server, run: Run) -> None:
    """A worker removes its status on SIGTERM; then the list reports that no worker is alive."""
    client = valkey.client()
    with worker_process(valkey, lease_s=ALIVE_S) as process:
        wait_until(lambda: told(client), "the worker has said something")
        process.terminate()
        process.wait(20)

    assert told(client) == set()
    ran = run.good("workers")
    assert (ran.out, "sanctum worker" in ran.err) == ("", True)


def test_what_is_no_record_is_shown_as_unknown(valkey: Server, run: Run) -> None:
    """A worker without a status, or with an invalid one, is listed too."""
    client = valkey.client()
    client.zadd(keys.workers(), {"silent": 4e12, "odd": 4e12, "dead": 1})
    said = {"owned": "many", "runs": [1], "last_error": "x", "since_ms": None}
    client.hset(keys.workers_state(), mapping={"odd": json.dumps(said), "dead": "{}"})

    lines = run.good("workers", "-v").out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[0] in {"silent", "odd", "dead"}] == [
        "odd",
        "silent",
    ]
