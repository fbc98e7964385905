"""Cost of `Publisher.emit` for the training thread, compared with a JSON line to a file; also while Redis is down."""

from bench.plan import Bench
from bench.processes import result_of
from bench.results import Figure, Series

#: Events per process, and events per second.
_EVENTS, _PER_SECOND = 10_000, 2_000

#: URL without a server.
_NOWHERE = "unix:///nonexistent/redis.sock"

_WORDS = {"median": "median", "p99": "p99", "p999": "p99.9"}


def measure(bench: Bench) -> list[Figure]:
    """Return the ratios of the median, p99 and p99.9."""
    bench.server.empty()
    events = min(_EVENTS, int(_PER_SECOND * bench.size.seconds))
    told = {"events": events, "per_second": _PER_SECOND}
    backends = {
        "up": {"backend": "redis", "url": bench.server.url},
        "file": {"backend": "file"},
        "down": {"backend": "redis", "url": _NOWHERE},
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in backends}
    for _ in range(bench.size.pairs):
        for name, backend in backends.items():
            found[name].append(result_of("emit", told | backend))
        bench.server.empty()
    up, file, down = found["up"], found["file"], found["down"]
    return [
        *(_figure(name, "emit", "`emit`", up, file) for name in _WORDS),
        *(_figure(name, "emit_down", "`emit` while Redis is down", down, file) for name in _WORDS),
    ]


def _figure(
    quantile: str, name: str, title: str, own: list[dict[str, float]], file: list[dict[str, float]]
) -> Figure:
    a, b = [one[quantile] for one in own], [one[quantile] for one in file]
    return Figure(
        name=f"{name}_{quantile}",
        title=f"{title} / JSON line to a file, {_WORDS[quantile]}",
        unit="x",
        samples=[mine / theirs for mine, theirs in zip(a, b, strict=True)],
        goal=1.0,
        better="lower",
        parts=(Series("Sanctum", "us", a), Series("file", "us", b)),
        note=f"{_PER_SECOND:,} events per second, in bursts of 20",
    )
