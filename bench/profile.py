"""Profile of a drain: samples of the worker, and command statistics of the server."""

from collections import Counter
from typing import Any, cast

from bench.drains import RUN, standard_drain
from bench.plan import Bench
from bench.processes import result_of
from bench.results import Stage
from bench.server import Server, cpu_seconds

_ORDER = ("wire", "parse", "decode", "fold", "encode", "commit", "loop", "redis unavailable")

_COMMANDS = {"xreadgroup": "read", "evalsha": "commit", "eval": "commit", "fcall": "commit"}


def profile_of(bench: Bench) -> list[Stage]:
    """Return the microseconds per event, by stage."""
    server = bench.server
    with standard_drain(bench, bench.size.events) as drain:
        server.provide(drain.key, RUN)
        server.client.config_resetstat()
        before = cpu_seconds(server.pid)
        found = result_of("profiled", {"url": server.url, "runs": [RUN]})
        used = cpu_seconds(server.pid) - before
        commands = _command_seconds(server)
    each = 1e6 / drain.events
    looks = sum(found["counts"].values())
    stages = [
        Stage(name, "worker", found["counts"].get(name, 0) / looks * found["seconds"] * each)
        for name in _ORDER
    ]
    stages += [Stage(name, "server", seconds * each) for name, seconds in commands.items()]
    rest = max(0.0, used - sum(commands.values()))
    return [*stages, Stage("wire", "server", rest * each)]


def _command_seconds(server: Server) -> dict[str, float]:
    found = cast("dict[str, dict[str, Any]]", server.client.info("commandstats"))
    seconds: Counter[str] = Counter()
    for name, row in found.items():
        stage = _COMMANDS.get(name.removeprefix("cmdstat_"))
        if stage is not None:
            seconds[stage] += row["usec"] / 1e6
    return dict(seconds)
