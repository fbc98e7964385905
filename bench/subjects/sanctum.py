"""Sanctum's own worker with `--drain`: all that the command does once the interpreter and its modules are loaded."""

import time

from bench.subjects.telling import report, told
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.cli.worker import work
from sanctum_bus.worker import settings, supervisor  # noqa: F401  # loaded before the clock starts


def main() -> None:
    """Drain runs, and report how long it took."""
    task = told()
    began = time.perf_counter()
    work(ServerTarget(task["url"]), task["runs"], drain=True)
    report(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
