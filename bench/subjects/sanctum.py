"""`sanctum worker --drain`, without loading the interpreter and the modules."""

import time

from bench.subjects.telling import report, told
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.cli.worker import work
from sanctum_bus.worker import settings, supervisor  # noqa: F401  # loaded before the clock starts


def main() -> None:
    """Drain runs, and report the seconds."""
    task = told()
    began = time.perf_counter()
    work(ServerTarget(task["url"]), task["runs"], drain=True)
    report(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
