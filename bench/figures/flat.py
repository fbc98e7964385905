"""Cost of an event in a large run, in a long run, with a full log, and after very many events."""

from functools import partial
from itertools import pairwise

from bench.drains import RUN, TEMPLATE, Drain, drained, standard_drain
from bench.following import await_folded
from bench.load import entries, standard_entries, synthetic
from bench.pairs import Pairs, paired
from bench.plan import Bench
from bench.processes import subject_process, worker_process
from bench.results import Figure, Series
from bench.server import cpu_seconds
from sanctum_bus.protocol.keys import RunKeys

GOAL = 1.15

#: Log sizes: one that is full immediately, and one that never fills.
_SHORT, _ENDLESS = 500, 10**9


def measure(bench: Bench) -> list[Figure]:
    """Return the cost of an event in the larger case divided by the smaller case, for each dimension."""
    found = [_envs(bench), _history(bench), _log(bench), _many_events(bench)]
    bench.server.empty()
    return found


def _figure(name: str, title: str, pairs: Pairs, large: str, small: str) -> Figure:
    parts = pairs.series(large, small, "us/event")
    return Figure(f"flat_{name}", f"cost of an event: {title}", "x", pairs.ratios, GOAL, "lower", parts)


def _cost(drain: Drain, **settings: object) -> float:
    return 1e6 / drain.sanctum(**settings)


def _envs(bench: Bench) -> Figure:
    bench.server.empty()
    events = bench.share(0.2)
    drains = {}
    for envs in (256, 4):
        key = f"{TEMPLATE}:{envs}"
        bench.server.publish(key, entries(synthetic(envs, 3, events)))
        drains[envs] = Drain(bench.server, events, key)
    pairs = paired(bench.size.pairs, partial(_cost, drains[256]), partial(_cost, drains[4]))
    return _figure("envs", "256 envs / 4 envs", pairs, "256 envs", "4 envs")


def _history(bench: Bench) -> Figure:
    """Drain the same events on a new run, and on a run that already folded them several times."""
    events, filled, fresh = bench.share(0.1), [], []
    for _ in range(bench.size.pairs):
        bench.server.empty()
        costs = []
        for turn in range(5):
            chunk = standard_entries(events, 0, turn * events + 1)
            bench.server.publish(RunKeys(RUN).events, chunk)
            costs.append(drained(bench.server, log_max_lines=_ENDLESS) / events * 1e6)
        fresh.append(costs[0])
        filled.append(costs[-1])
    pairs = Pairs(filled, fresh)
    return _figure("history", "fifth pass / first pass on one run", pairs, "fifth", "first")


def _log(bench: Bench) -> Figure:
    with standard_drain(bench, bench.share(0.2)) as drain:
        full, endless = (
            partial(_cost, drain, log_max_lines=_SHORT),
            partial(_cost, drain, log_max_lines=_ENDLESS),
        )
        pairs = paired(bench.size.pairs, full, endless)
    return _figure("log", "log full / log never full", pairs, "full", "never full")


def _many_events(bench: Bench) -> Figure:
    """Publish while a worker drains and trims; compare the CPU time of later tenths with the second."""
    server, events = bench.server, bench.size.stream
    server.empty()
    used = []
    told = {"url": server.url, "run": RUN, "events": events}
    with worker_process(server.url) as worker, subject_process("feeder", **told):
        for tenth in range(1, 11):
            await_folded(server, [RUN], events * tenth // 10)
            used.append((server.folded(RUN), cpu_seconds(worker.pid) + cpu_seconds(server.pid)))
        left = server.client.xlen(RunKeys(RUN).events)
    second, *_, last = costs = [_per_event(before, after) for before, after in pairwise(used)]
    return Figure(
        name="flat_events",
        title=f"cost of an event: last five tenths / second tenth of {events:,}",
        unit="x",
        samples=[cost / second for cost in costs[-5:]],
        goal=GOAL,
        better="lower",
        parts=(
            Series("last", "us/event", [last]),
            Series("second", "us/event", [second]),
            Series("left in the stream", "entries", [left]),
        ),
        note="CPU time of worker and server, including the server's time for publishing",
    )


def _per_event(before: tuple[int, float], after: tuple[int, float]) -> float:
    return (after[1] - before[1]) / (after[0] - before[0]) * 1e6
