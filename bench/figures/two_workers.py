"""Speedup by a second worker on this machine, and CPU use of the server."""

from bench.following import folded_by, publish_runs
from bench.pairs import Pairs
from bench.plan import Bench
from bench.results import Figure

RUNS = 50


def measure(bench: Bench) -> list[Figure]:
    """Return the ratio, and the CPU use of the server with one worker and with two."""
    bench.server.empty()
    run_ids = publish_runs(bench.server, RUNS, bench.size.events)
    two, one = [], []
    for _ in range(bench.size.pairs):
        two.append(folded_by(bench.server, 2, run_ids))
        one.append(folded_by(bench.server, 1, run_ids))
    bench.server.empty()
    pairs = Pairs([folded.speed for folded in two], [folded.speed for folded in one])
    return [
        Figure(
            name="two_workers",
            title=f"two workers / one worker, {RUNS} runs",
            unit="x",
            samples=pairs.ratios,
            parts=pairs.series("two", "one", "events/s"),
        ),
        *(
            Figure(
                name=f"server_share_{words}",
                title=f"CPU use of the server, {words} worker{'s' * (words == 'two')} (100 % = one core)",
                unit="%",
                samples=[folded.server_share * 100 for folded in found],
                better="lower",
            )
            for words, found in (("one", one), ("two", two))
        ),
    ]
