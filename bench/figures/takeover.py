"""Time without an owner after `kill -9`, measured from the end of the lease of the killed worker."""

import subprocess
from typing import cast

from bench.drains import RUN
from bench.following import await_folded, await_workers
from bench.load import Entry, entries, synthetic
from bench.plan import Bench
from bench.processes import wait_until, worker_process
from bench.results import Figure
from bench.server import Server
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys

ENVS, SLOTS = 64, 3

#: Events before the kill; later events are published one at a time.
_EVENTS = ENVS * SLOTS * 4

_TOLD = ("generation", "version")


def measure(bench: Bench) -> list[Figure]:
    """Return the time in milliseconds."""
    samples = [_ownerless_ms(bench.server) for _ in range(bench.size.repeats)]
    bench.server.empty()
    return [
        Figure(
            name="takeover",
            title="first commit of the next owner after `kill -9`, counted from the end of the lease",
            unit="ms",
            samples=samples,
            goal=300.0,
            better="lower",
            note=f"a run of {ENVS} envs x {SLOTS} slots, default settings; polled every 2 ms",
        )
    ]


def _ownerless_ms(server: Server) -> float:
    server.empty()
    told = list(entries(synthetic(ENVS, SLOTS, _EVENTS + 20_000)))
    with worker_process(server.url) as one, worker_process(server.url) as other:
        await_workers(server, 2)
        server.publish(RunKeys(RUN).events, told[:_EVENTS])
        server.register(RUN)
        await_folded(server, [RUN], _EVENTS)
        return _killed(server, [one, other], told[_EVENTS:])


def _killed(server: Server, workers: list["subprocess.Popen[str]"], more: list[Entry]) -> float:
    """Kill the owner while events arrive; return the ms from the end of its lease to the next commit."""
    client, run, remaining = server.client, RunKeys(RUN), iter(more)
    owner = cast("bytes", client.hget(run.checkpoint, "owner")).decode()
    victim = next(one for one in workers if f"-{one.pid}-" in owner)
    before = client.hmget(run.checkpoint, *_TOLD)
    victim.kill()
    alive_until = cast("float", client.zscore(keys.workers(), owner))
    at_ms = 0.0

    def is_taken_over() -> bool:
        nonlocal at_ms
        pipeline = client.pipeline(transaction=False)
        pipeline.time()
        pipeline.hmget(run.checkpoint, *_TOLD)
        pipeline.execute_command(
            "XADD", run.events, "*", *(part for pair in next(remaining).items() for part in pair)
        )
        (seconds, micros), found, _ = pipeline.execute()
        at_ms = seconds * 1000 + micros / 1000
        return bool(found[0] != before[0] and found[1] != before[1])

    wait_until(is_taken_over, "the other worker has committed", 60.0)
    return at_ms - alive_until
