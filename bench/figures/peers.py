"""Drain rate of one run, compared with other libraries that write event fields into hashes."""

from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

from bench.drains import TEMPLATE, Drain, standard_drain
from bench.load import standard, standard_entries
from bench.pairs import interleaved
from bench.plan import Bench
from bench.results import Figure, Series
from bench.shapes import SHAPES


class Peer(NamedTuple):
    """A library to compare with.

    Args:
        subject: the module of `bench.subjects`.
        needs: the module that must be installed, or "".
        label: name in the table.
        share: share of the standard load; smaller for slow libraries.
        goal: factor by which Sanctum should be faster, or None.
    """

    subject: str
    needs: str
    label: str
    share: float
    goal: float | None


PEERS = (
    Peer("batched", "", "redis-py by hand, batched", 1 / 2, 6.0),
    Peer("naive", "", "redis-py, one event at a time", 1 / 15, 60.0),
    Peer("faststream", "faststream", "FastStream, batched", 1 / 3, 60.0),
    Peer("atomic", "atomic_redis_streams", "atomic-redis-streams", 1 / 60, None),
)


def measure(bench: Bench) -> list[Figure]:
    """Return a ratio for each installed library."""
    present = [peer for peer in PEERS if _is_there(peer, bench)]
    with standard_drain(bench, bench.size.events) as drain:
        measures = {"Sanctum": drain.sanctum}
        for peer in present:
            own = _published(bench, peer)
            measures[peer.label] = partial(own.other, peer.subject)
        samples = interleaved(bench.size.pairs, measures)
    return [_figure(peer, samples["Sanctum"], samples[peer.label]) for peer in present]


def _is_there(peer: Peer, bench: Bench) -> bool:
    if peer.needs and find_spec(peer.needs) is None:
        bench.skipped[peer.label] = "not installed; run scripts/setup bench"
        return False
    return True


def _published(bench: Bench, peer: Peer) -> Drain:
    """Publish the share of the load for a library, in the format that it reads."""
    events = bench.share(peer.share)
    key = f"{TEMPLATE}:{peer.subject}"
    shaped = SHAPES.get(peer.subject)
    entries = standard_entries(events) if shaped is None else shaped(standard(events))
    bench.server.publish(key, entries)
    return Drain(bench.server, events, key)


def _figure(peer: Peer, own: list[float], other: list[float]) -> Figure:
    return Figure(
        name=f"peers_{peer.subject}",
        title=f"drain of one run / {peer.label}",
        unit="x",
        samples=[a / b for a, b in zip(own, other, strict=True)],
        goal=peer.goal,
        parts=(Series("Sanctum", "events/s", own), Series(peer.label, "events/s", other)),
    )
