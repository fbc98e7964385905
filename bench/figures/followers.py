"""Effect of 200 followers of one run on its drain, and the largest delay of a follower."""

import time
from typing import Any, cast

from bench.drains import RUN, drained
from bench.load import standard_entries
from bench.pairs import Pairs
from bench.plan import Bench
from bench.processes import Failed, report_of, subject_process
from bench.results import Figure
from sanctum_bus.protocol.keys import RunKeys

FOLLOWERS = 200


def measure(bench: Bench) -> list[Figure]:
    """Return the ratio of the drains, and the largest delay of a follower."""
    events = bench.share(1 / 3)
    with_them, without, behind = [], [], []
    for _ in range(bench.size.pairs):
        speed, found = _followed(bench, events)
        with_them.append(speed)
        behind.append(found["behind"])
        _begin(bench, events)
        without.append(events / drained(bench.server))
    bench.server.empty()
    pairs = Pairs(with_them, without)
    return [
        Figure(
            name="followers",
            title=f"drain with {FOLLOWERS} followers / drain without",
            unit="x",
            samples=pairs.ratios,
            goal=0.85,
            parts=pairs.series("with", "without", "events/s"),
            note="the followers share one process, and the CPU cores with worker and server",
        ),
        Figure("followers_behind", "largest delay of a follower", "s", behind, 2.0, "lower"),
    ]


def _begin(bench: Bench, events: int) -> None:
    """Publish a run of which only the first event is folded."""
    server, key = bench.server, RunKeys(RUN).events
    server.empty()
    server.publish(key, standard_entries(1))
    drained(server)
    server.publish(key, standard_entries(events, 1, 2))


def _followed(bench: Bench, events: int) -> tuple[float, dict[str, Any]]:
    server, key = bench.server, RunKeys(RUN).events
    _begin(bench, events)
    newest = cast("list[tuple[bytes, object]]", server.client.xrevrange(key, count=1))
    with subject_process("followers", url=server.url, run=RUN, count=FOLLOWERS) as followers:
        seconds = drained(server)
        found = report_of(followers, f"{newest[0][0].decode()} {time.perf_counter()}")
    if found["missed"]:
        raise Failed(f"{found['missed']} followers did not see the last version")
    return events / seconds, found
