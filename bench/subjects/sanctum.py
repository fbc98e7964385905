"""`sanctum worker --drain`, without loading the interpreter and the modules."""

import time

from bench.subjects.telling import report, told
from sanctum_bus import settings, worker  # noqa: F401  # loaded before the clock starts
from sanctum_bus.cli.place import Place
from sanctum_bus.cli.serve import work


def main() -> None:
    """Drain runs, and report the seconds."""
    task = told()
    began = time.perf_counter()
    work(Place(task["url"]), task["runs"], drain=True)
    report(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    main()
