"""Start time of the command."""

import subprocess
import sys
import time

from bench.load import ROOT
from bench.pairs import interleaved
from bench.plan import Bench
from bench.results import Figure

#: Imports that every worker needs.
_GIVEN = "import redis.asyncio, msgpack, structlog, pydantic_settings"


def _milliseconds(*words: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=True)
    return (time.perf_counter() - began) * 1000


def measure(bench: Bench) -> list[Figure]:
    """Return the times of an empty drain and of the help."""
    bench.server.empty()
    command = ("-m", "sanctum_bus.cli", "--redis", bench.server.url)
    measures = {
        "drain": lambda: _milliseconds(*command, "worker", "--drain"),
        "help": lambda: _milliseconds("-m", "sanctum_bus.cli", "--help"),
        "given": lambda: _milliseconds("-c", _GIVEN),
        "python": lambda: _milliseconds("-c", ""),
    }
    samples = interleaved(max(5, bench.size.repeats), measures)
    told = [
        ("start_drain", "`sanctum worker --drain` without runs", "drain", 300.0),
        ("start_help", "`sanctum --help`", "help", 150.0),
        ("start_given", "import of the dependencies only", "given", None),
        ("start_python", "start of the Python interpreter, included in the rows above", "python", None),
    ]
    return [Figure(name, title, "ms", samples[of], goal, "lower") for name, title, of, goal in told]
