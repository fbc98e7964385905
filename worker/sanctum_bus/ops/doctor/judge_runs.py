"""Judgments of a run from its state on the server. No I/O."""

from typing import NamedTuple

from sanctum_bus.ops.doctor.findings import Verdict, fault, note, ok, warning
from sanctum_bus.reader import Snapshot

#: Seconds that an entry may wait: a change of the owner takes less.
MOST_WAIT_S = 10.0


class Group(NamedTuple):
    """The consumer group of a run's stream.

    Args:
        consumers: number of consumers; Sanctum has one.
        pending: entries that were delivered and not acknowledged.
        lag: entries that were not delivered; None if the server cannot compute it.
    """

    consumers: int
    pending: int
    lag: int | None


class Run(NamedTuple):
    """The state of a run on the server.

    Args:
        view: its counters.
        registered: whether it is in the index of runs.
        group: its consumer group; None if it has none.
        asked_group: whether the group could be read.
        dead_letters: number of kept dead letters.
        waited_s: seconds that its first unread entry has waited; None if nothing is unread.
        alive: the live workers.
    """

    view: Snapshot
    registered: bool
    group: Group | None
    asked_group: bool
    dead_letters: int
    waited_s: float | None
    alive: frozenset[str]

    @property
    def is_owned(self) -> bool:
        """Return whether the worker that acquired it last is alive."""
        return self.view.owner in self.alive


def types(_: Run) -> list[Verdict]:
    """Judge the types of a run's keys. A run with a key of the wrong type is not judged further."""
    return ok("all keys have the right type")


def owner(run: Run) -> list[Verdict]:
    """Judge whether a worker owns a run that has unread entries."""
    if run.view.is_current or run.is_owned or (run.alive and (run.waited_s or 0.0) < MOST_WAIT_S):
        return ok("owned" if run.is_owned else "no unread entries")
    last = f"its last owner {run.view.owner} is not alive" if run.view.owner else "it has no owner"
    if not run.alive:
        return [fault(f"entries wait and no worker is alive; {last}", "start one: sanctum worker")]
    return [
        fault(
            f"entries wait and no worker acquires the run; {last}",
            "read the logs of the live workers; raise max_runs or start more workers",
        )
    ]


def group(run: Run) -> list[Verdict]:
    """Judge the consumer group."""
    if run.group is not None and run.group.consumers > 1:
        return [
            warning(
                f"the group has {run.group.consumers} consumers: another client reads with it",
                "identify the client (CLIENT LIST) and give it its own consumer group, or use XREAD",
            )
        ]
    if run.asked_group and run.group is None and run.is_owned:
        return [
            warning(
                "the group is missing; the owner creates it again",
                "find the client that runs XGROUP DESTROY or DEL",
            )
        ]
    return ok("one consumer")


def lag(run: Run) -> list[Verdict]:
    """Judge the lag of the snapshot behind the stream."""
    if run.waited_s is None:
        return ok("no unread entries")
    amount = "" if run.group is None or run.group.lag is None else f"; not yet delivered: {run.group.lag:,}"
    words = f"the first unread entry has waited {run.waited_s:,.0f} s{amount}"
    if run.waited_s < MOST_WAIT_S:
        return ok(words)
    return [warning(words, "add workers, or check the owner's log and SLOWLOG")]


def pending(run: Run) -> list[Verdict]:
    """Judge entries that were delivered and not committed."""
    amount = 0 if run.group is None else run.group.pending
    if amount and not run.is_owned:
        return [
            warning(
                f"delivered and not committed, and their reader is not alive: {amount:,} entries",
                "start a worker: it reads them again",
            )
        ]
    return ok(f"{amount:,} in progress")


def parked(run: Run) -> list[Verdict]:
    """Judge the dead letters."""
    if not run.dead_letters:
        return ok("no dead letters")
    return [
        warning(
            f"dead letters: {run.dead_letters:,} kept, {run.view.parked:,} in total",
            f"run 'sanctum dead-letters {run.view.run_id}'; if a reason names it, 'sanctum rebuild {run.view.run_id}'; otherwise fix the cause, then --requeue or --delete them",
        )
    ]


def lost(run: Run) -> list[Verdict]:
    """Judge lost events."""
    reasons = ", ".join(f"{reason} {amount:,}" for reason, amount in sorted(run.view.lost.items()) if amount)
    if not (reasons or run.view.lost_ranges):
        return ok("no lost events")
    return [
        warning(
            f"lost events: {reasons or 'entries were trimmed unread'}",
            "lost events cannot be recovered; see lost_ranges. dropped: enlarge the buffer, or set spill_path; trimmed: add workers; gap: a failover or a restart of the server lost them",
        )
    ]


def whole(run: Run) -> list[Verdict]:
    """Judge whether the last commit was complete."""
    if run.view.is_torn:
        return [
            warning(
                "the last commit stopped half-way",
                "a worker folds the run again: start one, or wait",
            )
        ]
    return ok("whole")


def registered(run: Run) -> list[Verdict]:
    """Judge whether workers find a run at once."""
    if run.registered:
        return ok("registered")
    return [
        note(
            "not in the index of runs: only a scan finds it",
            "publish with Publisher, or leave scan_interval_s above 0",
        )
    ]
