"""Latency from `emit` to the snapshot, compared with a bare XADD and a blocking XREAD on the same server."""

import time
from typing import cast

from bench.following import await_folded, await_workers
from bench.plan import Bench
from bench.processes import Failed, report_of, subject_process, worker_process
from bench.results import Figure, Series
from sanctum_bus.protocol import stream_id
from sanctum_bus.protocol.keys import RunKeys

RUNS, PER_SECOND = 20, 2_000

#: Seconds between the last commit or entry and the stop of the listener.
_LAST_WORD_S = 0.3

_SHARES = {"median": 0.5, "p99": 0.99}

Heard = list[tuple[int, str, float]]


def measure(bench: Bench) -> list[Figure]:
    """Return the ratios of the median and of p99."""
    own, bare = [], []
    for _ in range(bench.size.pairs):
        own.append(_quantiles(_through_sanctum(bench)))
        bare.append(_quantiles(_hand_off(bench, "bare", "reading")))
    bench.server.empty()
    return [_figure(name, [one[name] for one in own], [one[name] for one in bare]) for name in _SHARES]


def _figure(name: str, own: list[float], bare: list[float]) -> Figure:
    return Figure(
        name=f"visible_{name}",
        title=f"`emit` to snapshot / bare XADD to XREAD, {name}",
        unit="x",
        samples=[a / b for a, b in zip(own, bare, strict=True)],
        goal=3.0,
        better="lower",
        parts=(Series("Sanctum", "ms", own), Series("bare", "ms", bare)),
        note=f"{PER_SECOND:,} events per second over {RUNS} runs, from one process",
    )


def _through_sanctum(bench: Bench) -> list[float]:
    with worker_process(bench.server.url):
        await_workers(bench.server, 1)
        return _hand_off(bench, "publisher", "hints")


def _hand_off(bench: Bench, through: str, by: str) -> list[float]:
    """Return the latency of each event from one process to the other, in milliseconds."""
    server = bench.server
    server.client.delete(*(RunKeys(run_id).events for run_id in _RUN_IDS))
    told = {"url": server.url, "runs": _RUN_IDS}
    rate = {"seconds": bench.size.seconds, "per_second": PER_SECOND, "through": through}
    with (
        subject_process("hearer", by=by, **told) as hearer,
        subject_process("emitter", **rate, **told) as emitter,
    ):
        if through == "publisher":
            await_folded(server, _RUN_IDS, 1)
        moments: list[list[float]] = report_of(emitter)["moments"]
        # Late events count too.
        if through == "publisher":
            for run_id in _RUN_IDS:
                await_folded(server, [run_id], server.client.xlen(RunKeys(run_id).events))
        time.sleep(_LAST_WORD_S)
        heard: Heard = report_of(hearer)["heard"]
    entry_ids = [_entry_ids(bench, run_id) for run_id in _RUN_IDS]
    server.empty()
    found = _latencies(moments, entry_ids, heard)
    if len(found) != sum(map(len, moments)) - RUNS:
        raise Failed(f"{len(found):,} of {sum(map(len, moments)) - RUNS:,} events were observed")
    return found


_RUN_IDS = [f"run-{number}" for number in range(RUNS)]


def _entry_ids(bench: Bench, run_id: str) -> list[str]:
    rows = cast("list[tuple[bytes, object]]", bench.server.client.xrange(RunKeys(run_id).events))
    return [entry_id.decode() for entry_id, _ in rows]


def _latencies(moments: list[list[float]], entry_ids: list[list[str]], heard: Heard) -> list[float]:
    """Return the time from each event until its ID, or a later ID of its run, was observed, in milliseconds.

    The first event of each run is left out, because a worker first has to discover the run.
    """
    found, upto = [], [1] * len(moments)
    for number, version, moment in heard:
        known, reached = entry_ids[number], stream_id.parse(version)
        while upto[number] < len(moments[number]) and stream_id.parse(known[upto[number]]) <= reached:
            found.append((moment - moments[number][upto[number]]) * 1000)
            upto[number] += 1
    return found


def _quantiles(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {name: ordered[int(len(ordered) * share)] for name, share in _SHARES.items()}
