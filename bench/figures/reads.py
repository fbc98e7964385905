"""Time to read the changes since the last commit, compared with a full read."""

from bench.drains import RUN
from bench.following import await_folded
from bench.load import entries, synthetic
from bench.plan import Bench
from bench.processes import report_of, subject_process, worker_process
from bench.results import Figure, Series
from sanctum_bus.protocol.keys import RunKeys

ENVS, SLOTS = 64, 3

#: Events until every slot has a seed; and events of the last commit, all of one environment.
_EVENTS, _LAST = ENVS * SLOTS * 4, 3


def measure(bench: Bench) -> list[Figure]:
    """Return the ratio."""
    found = [_read(bench) for _ in range(bench.size.pairs)]
    bench.server.empty()
    whole, since = ([one[name] for one in found] for name in ("whole", "since"))
    return [
        Figure(
            name="reads_since",
            title="read of changes / full read",
            unit="x",
            samples=[a / b for a, b in zip(since, whole, strict=True)],
            goal=0.1,
            better="lower",
            parts=(Series("changes", "us", since), Series("full", "us", whole)),
            note=f"{ENVS} envs x {SLOTS} slots: {found[0]['changed']} of {found[0]['sections']} sections changed",
        )
    ]


def _read(bench: Bench) -> dict[str, float]:
    server, key = bench.server, RunKeys(RUN).events
    server.empty()
    told = list(entries(synthetic(ENVS, SLOTS, _EVENTS + _LAST)))
    server.publish(key, told[:_EVENTS])
    server.register(RUN)
    # One worker for both commits: a second worker would start a new generation, which requires a full read.
    with worker_process(server.url):
        await_folded(server, [RUN], _EVENTS)
        with subject_process("reading", url=server.url, run=RUN) as reading:
            server.publish(key, told[_EVENTS:])
            await_folded(server, [RUN], len(told))
            return report_of(reading, "go")
