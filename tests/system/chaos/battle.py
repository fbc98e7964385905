"""One chaos run from the beginning to the end: servers, workers, training, mishaps, and what became of it all."""

import heapq
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.support.waiting import wait_until
from tests.system.chaos.fleet import Fleet, Trainings
from tests.system.chaos.ground import Failover, Ground, Slots, Standalone
from tests.system.chaos.membership import Change, Measure, Ticks, members
from tests.system.chaos.schedule import Kind, Mishap, schedule
from tests.system.chaos.training import Order, Report
from tests.system.chaos.verify import Verdict, judge, side_of
from tests.system.chaos.watch import Stall, Watch, look

#: Streams keep everything, and logs all lines, so that they can be compared with a fold of the whole.
_KEPT = {
    "stream_retain_entries": 1_000_000_000,
    "log_max_lines": 1_000_000,
    "dead_letter_max_entries": 1_000_000,
}

#: Seconds between two mishaps, unless their number is given; some last longer.
_APART_S = 3.0

#: Seconds that the workers have in the end to fold what is left.
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Plan:
    """The plan of a chaos run.

    Args:
        seed: seed of the mishaps.
        server: `standalone`, `sentinel` or `cluster`.
        seconds: duration of publishing and mishaps.
        events, runs, workers, publishers: the number of each; each run has two publishers.
        settings: settings of the workers that differ from the defaults.
        only: kinds of mishaps; all if empty.
        mishaps: number of mishaps; 0: one every 3 s.
        measured: whether changes of the membership are measured first, without mishaps.
    """

    seed: int
    server: str = "standalone"
    seconds: float = 60.0
    events: int = 200_000
    runs: int = 24
    workers: int = 4
    publishers: int = 6
    settings: dict[str, object] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    mishaps: int = 0
    measured: bool = True

    @property
    def run_ids(self) -> list[str]:
        """The runs that are published to."""
        return [f"run-{number}" for number in range(self.runs)]

    @property
    def lease_s(self) -> float:
        """How long a worker counts as alive after its last beat."""
        return float(str(self.settings.get("lease_s", 4.0)))


@dataclass(frozen=True)
class Outcome:
    """The result of a chaos run.

    Args:
        mishaps: the mishaps with their times, by the monotonic clock.
        seconds: seconds for which runs were watched.
        total: the sum of the verdicts on all runs.
        problems: every broken promise; empty if there is none.
        lost_by_server: the most acknowledged events that the server can have lost; None if unknown.
    """

    plan: Plan
    mishaps: list[tuple[float, Mishap]]
    changes: list[Change]
    stalls: list[Stall]
    seconds: float
    take_overs: int
    total: Verdict
    lost_by_server: int | None
    problems: tuple[str, ...]


def fight(plan: Plan) -> Outcome:
    """Let everything happen, and judge.

    Raises:
        Failed: something that must become true in the end did not, in time.
        RuntimeError, TimeoutExpired: a training process failed, or did not end.
    """
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="chaos-"))
        stack.callback(shutil.rmtree, home)
        ground = _ground(plan)
        stack.callback(ground.close)
        fleet = Fleet(ground.url, home / "workers.log", **(_KEPT | plan.settings))
        stack.callback(fleet.close)
        for _ in range(plan.workers):
            fleet.add()
        client = ground.client()
        wait_until(lambda: len(members(client)) == plan.workers, "every worker has joined", _PATIENCE_S)
        changes = _measured(plan, ground, fleet) if plan.measured else []
        trainings = Trainings(list(_orders(plan, ground.url)), home / "training.log")
        stack.callback(trainings.close)
        with _watched(ground, plan.run_ids) as watch:
            happened = _happen(plan, ground.kinds() | fleet.kinds(plan.lease_s))
            reports = trainings.reports()
            _await_folded(ground, plan.run_ids)
        problems = fleet.end()
        total = _judged(plan, ground, reports)
        return Outcome(
            plan=plan,
            mishaps=happened,
            changes=changes,
            stalls=watch.stalls,
            seconds=watch.seconds,
            take_overs=watch.take_overs,
            total=total,
            lost_by_server=ground.lost_by_server,
            problems=(*total.problems, *problems, *_too_much_lost(total, ground)),
        )


def _too_much_lost(total: Verdict, ground: Ground) -> list[str]:
    most = ground.lost_by_server
    if most is None or total.lost <= most:
        return []
    return [f"{total.lost:,} acknowledged events are missing, and the server lost {most:,} at most"]


def _ground(plan: Plan) -> Ground:
    match plan.server:
        case "standalone":
            return Standalone()
        case "sentinel":
            return Failover()
        case _:
            return Slots(plan.run_ids)


def _measured(plan: Plan, ground: Ground, fleet: Fleet) -> list[Change]:
    runs = [f"calm-{number}" for number in range(plan.runs)]
    ticks = Ticks(ground.client(), runs)
    try:
        return Measure(ground.client(), fleet, runs).all()
    finally:
        ticks.close()


def _orders(plan: Plan, url: str) -> Iterator[Order]:
    for number in range(plan.publishers):
        share = [
            run
            for place, run in enumerate(plan.run_ids)
            if number in {place % plan.publishers, (place + 1) % plan.publishers}
        ]
        yield Order(url, share, plan.events // plan.publishers, plan.seconds)


@contextmanager
def _watched(ground: Ground, runs: list[str]) -> Iterator[Watch]:
    watch = Watch(ground.client, runs)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def _happen(plan: Plan, kinds: dict[str, Kind]) -> list[tuple[float, Mishap]]:
    """Bring the mishaps of the plan's seed about, each at its time, and end each that lasts."""
    chance = Random(plan.seed)  # noqa: S311  # a seed must lead to the same schedule again
    kinds = {name: kind for name, kind in kinds.items() if not plan.only or name in plan.only}
    began, order = time.monotonic(), itertools.count()
    happened: list[tuple[float, Mishap]] = []
    due: list[tuple[float, int, Callable[[], object]]] = []

    def begin(mishap: Mishap) -> None:
        happened.append((time.monotonic(), mishap))
        end = kinds[mishap.kind].begin(chance)
        heapq.heappush(due, (time.monotonic() - began + mishap.length_s, next(order), end))

    for mishap in schedule(chance, kinds, plan.seconds, plan.mishaps or int(plan.seconds / _APART_S)):
        act: Callable[[], object] = partial(begin, mishap)
        heapq.heappush(due, (mishap.at_s, next(order), act))
    while due:
        at_s, _, act = heapq.heappop(due)
        # A pace and no waiting for something to become true.
        time.sleep(max(0.0, began + at_s - time.monotonic()))
        act()
    return happened


def _await_folded(ground: Ground, runs: list[str]) -> None:
    client = ground.client()
    wait_until(
        lambda: [run for run, seen in look(client, runs).items() if seen.last != seen.version] == [],
        f"every run is folded to its end, {runs[0]} to {runs[-1]}",
        _PATIENCE_S,
    )


def _judged(plan: Plan, ground: Ground, reports: list[Report]) -> Verdict:
    client, total = ground.client(), Verdict()
    for run in plan.run_ids:
        total += judge(side_of(client, run), [report for report in reports if report.run == run])
    return total
