"""Drain rate of one worker with 200 runs, compared with one run with the same number of events."""

from bench.following import folded_by, publish_runs
from bench.pairs import Pairs
from bench.plan import Bench
from bench.results import Figure

RUNS = 200

#: Minimum events per run: discovering and acquiring a run takes as long as folding some events.
_LEAST = 100


def measure(bench: Bench) -> list[Figure]:
    """Return the ratio."""
    bench.server.empty()
    events = max(bench.size.events, RUNS * _LEAST)
    many: list[float] = []
    one: list[float] = []
    for _ in range(bench.size.pairs):
        for runs, samples in ((RUNS, many), (1, one)):
            run_ids = publish_runs(bench.server, runs, events)
            samples.append(folded_by(bench.server, 1, run_ids).speed)
    bench.server.empty()
    pairs = Pairs(many, one)
    return [
        Figure(
            name="many_runs",
            title=f"one worker: {RUNS} runs at once / one run",
            unit="x",
            samples=pairs.ratios,
            goal=0.6,
            parts=pairs.series(f"{RUNS} runs", "one run", "events/s"),
            note="a running worker; the clock starts when the runs are registered",
        )
    ]
