"""`scripts/simulate`: simulate many seeds, or one seed and print its last steps."""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.system.simulation.simulation import Outcome, simulate


def main() -> int:
    """Simulate the seeds of the command line; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="number of seeds (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="simulate only this seed")
    parser.add_argument("-v", action="store_true", help="print the last steps of every seed")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="processes (default: one for each core)"
    )
    given = parser.parse_args()
    if given.seed is not None:
        outcome = simulate(given.seed)
        _say(str(outcome) if given.v or outcome.broken else f"seed {given.seed}: no promise broken")
        return bool(outcome.broken)
    return _many(range(given.first, given.first + given.seeds), given.jobs, shown=given.v)


def _many(seeds: range, jobs: int, *, shown: bool) -> int:
    began, broken, checks, commits = time.monotonic(), 0, 0, 0
    with ProcessPoolExecutor(jobs) as pool:
        for outcome in pool.map(simulate, seeds, chunksize=5):
            checks += outcome.checks
            commits += outcome.commits
            broken += bool(outcome.broken)
            if outcome.broken or shown:
                _show(outcome)
    seconds = time.monotonic() - began
    _say(
        f"{len(seeds):,} seeds in {seconds:.0f} s ({len(seeds) / seconds:.1f}/s): {broken} broke a promise; "
        f"{commits:,} commits, {checks:,} snapshots compared"
    )
    return bool(broken)


def _show(outcome: Outcome) -> None:
    _say(f"{outcome}\n  again: scripts/simulate --seed {outcome.seed} -v")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
