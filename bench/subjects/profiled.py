"""A drain that is looked at a thousand times a second: which stage it is in, by the module that runs just then."""

import signal
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from bench.subjects.telling import report, told
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.cli.worker import work
from sanctum_bus.worker import settings, supervisor  # noqa: F401  # loaded before the clock starts

#: Seconds between two looks.
_EVERY_S = 0.001

#: Stages by a part of the module's path; the innermost frame that has one counts, and of its parts the first here.
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
    """Counts stages while it is on."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._known: dict[str, str | None] = {}

    def look(self, _: int, frame: FrameType | None) -> None:
        """Count the stage that runs now; this is the handler of the timer's signal."""
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
    """Drain runs, and report how often each stage was seen."""
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
