"""`python -m tests.chaos`: lets everything happen to real processes on real servers, and prints the figures."""

import argparse
import signal
import subprocess
import sys
import time

import pytest

from tests.system.chaos.battle import Plan, fight
from tests.system.chaos.figures import figures

_SERVERS = ("standalone", "sentinel", "cluster")


def main() -> int:
    """Run the requested chaos; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long events are published (default 60)"
    )
    parser.add_argument(
        "--events", type=int, default=200_000, help="how many events in all (default 200,000)"
    )
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the mishaps (default: the time)"
    )
    parser.add_argument(
        "--server", choices=(*_SERVERS, "all"), default="standalone", help="on what (default standalone)"
    )
    given = parser.parse_args()
    # At its end it stops every process that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    servers = _SERVERS if given.server == "all" else (given.server,)
    return max(_one(Plan(given.seed, one, given.seconds, given.events)) for one in servers)


def _one(plan: Plan) -> int:
    again = (
        f"scripts/chaos --server {plan.server} --seed {plan.seed} --seconds {plan.seconds:g} "
        f"--events {plan.events}"
    )
    try:
        outcome = fight(plan)
    except (pytest.fail.Exception, RuntimeError, subprocess.TimeoutExpired) as error:
        sys.stdout.write(f"{plan.server}, seed {plan.seed}: BROKEN {error}\n  again: {again}\n")
        return 1
    sys.stdout.write(f"{figures(outcome)}\n")
    if outcome.problems:
        sys.stdout.write(f"  again: {again}\n")
    sys.stdout.flush()
    return bool(outcome.problems)


if __name__ == "__main__":
    sys.exit(main())
