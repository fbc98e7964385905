"""A drain sampled 1,000 times per second; the running module determines the stage."""

import signal
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from bench.subjects.telling import report, told
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.cli.worker import work
from sanctum_bus.worker import settings, supervisor  # noqa: F401  # loaded before the clock starts

#: Seconds between two samples.
_EVERY_S = 0.001

#: Stages by a part of the module path. The innermost matching frame counts, and the first match in this list.
_STAGES = (
    ("/selectors.py", "redis unavailable"),
    ("/redis/_parsers/", "parse"),
    ("/hiredis/", "parse"),
    ("/redis/", "wire"),
    ("/asyncio/", "wire"),
    ("/sanctum_bus/events/", "decode"),
    ("/sanctum_bus/fold/", "fold"),
    ("/sanctum_bus/connection/", "parse"),
    ("/sanctum_bus/protocol/text", "encode"),
    ("/sanctum_bus/worker/commit_arguments.py", "encode"),
    ("/sanctum_bus/worker/store.py", "commit"),
    ("/sanctum_bus/", "loop"),
)


class Sampler:
    """Count samples per stage."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._known: dict[str, str | None] = {}

    def look(self, _: int, frame: FrameType | None) -> None:
        """Count the running stage; handler of the timer signal."""
        while frame is not None:
            stage = self._stage_of(frame.f_code.co_filename)
            if stage is not None:
                self.counts[stage] += 1
                return
            frame = frame.f_back
        self.counts["loop"] += 1

    def _stage_of(self, path: str) -> str | None:
        if path not in self._known:
            name = Path(path).as_posix()
            self._known[path] = next((stage for part, stage in _STAGES if part in name), None)
        return self._known[path]


def main() -> None:
    """Drain runs, and report the number of samples per stage."""
    task, sampler = told(), Sampler()
    signal.signal(signal.SIGALRM, sampler.look)
    signal.setitimer(signal.ITIMER_REAL, _EVERY_S, _EVERY_S)
    began = time.perf_counter()
    work(ServerTarget(task["url"]), task["runs"], drain=True)
    seconds = time.perf_counter() - began
    signal.setitimer(signal.ITIMER_REAL, 0)
    report(seconds=seconds, counts=sampler.counts)


if __name__ == "__main__":
    main()
