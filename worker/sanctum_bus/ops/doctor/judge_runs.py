"""What is wrong with a run, from what the server has of it. Nothing here does I/O."""

from typing import NamedTuple

from sanctum_bus.ops.doctor.findings import Verdict, fault, note, ok, warning
from sanctum_bus.reader import Snapshot

#: Seconds that an entry may wait: a run changes hands within less.
MOST_WAIT_S = 10.0


class Group(NamedTuple):
    """The consumer group of a run's stream.

    Args:
        consumers: how many there are; Sanctum has one.
        pending: entries that were delivered and not acknowledged.
        lag: entries that were not delivered; None where the server cannot tell.
    """

    consumers: int
    pending: int
    lag: int | None


class Run(NamedTuple):
    """What the server has of a run.

    Args:
        view: its counters.
        registered: it is in the index of runs.
        group: its group; None: there is none.
        asked_group: whether the group could be asked for.
        letters: parked entries that are kept.
        waited_s: for how long its first unread entry has waited; None where nothing is unread.
        alive: the workers that are.
    """

    view: Snapshot
    registered: bool
    group: Group | None
    asked_group: bool
    letters: int
    waited_s: float | None
    alive: frozenset[str]

    @property
    def is_owned(self) -> bool:
        """Whether the worker that took it over last is alive."""
        return self.view.owner in self.alive


def types(_: Run) -> list[Verdict]:
    """Judge the types of a run's keys: one that has a wrong one is not judged further."""
    return ok("as they should be")


def owner(run: Run) -> list[Verdict]:
    """Judge whether somebody folds a run that has something to fold."""
    if run.view.is_current or run.is_owned or (run.alive and (run.waited_s or 0.0) < MOST_WAIT_S):
        return ok("owned" if run.is_owned else "nothing to fold")
    last = f"its last owner {run.view.owner} is gone" if run.view.owner else "it has no owner"
    if not run.alive:
        return [fault(f"entries wait and no worker is alive; {last}", "start one: sanctum worker")]
    return [
        fault(
            f"entries wait and no worker takes it; {last}",
            "read the logs of the workers that are alive; raise max_runs or start more",
        )
    ]


def group(run: Run) -> list[Verdict]:
    """Judge the consumer group."""
    if run.group is not None and run.group.consumers > 1:
        return [
            warning(
                f"the group has {run.group.consumers} consumers: somebody else reads with it",
                "find who it is, and let him read with XREAD or with a group of his own",
            )
        ]
    if run.asked_group and run.group is None and run.is_owned:
        return [warning("the group is gone; its owner makes it anew", "find who runs XGROUP DESTROY or DEL")]
    return ok("as it should be")


def lag(run: Run) -> list[Verdict]:
    """Judge how far the snapshot is behind the stream."""
    if run.waited_s is None:
        return ok("nothing is unread")
    amount = "" if run.group is None or run.group.lag is None else f"; not yet delivered: {run.group.lag:,}"
    words = f"the first unread entry has waited {run.waited_s:,.0f} s{amount}"
    if run.waited_s < MOST_WAIT_S:
        return ok(words)
    return [warning(words, "start more workers, or find what keeps the owner: its log, the slow log")]


def pending(run: Run) -> list[Verdict]:
    """Judge what was delivered and not committed."""
    amount = 0 if run.group is None else run.group.pending
    if amount and not run.is_owned:
        return [
            warning(
                f"delivered and not committed, and their reader is gone: {amount:,} entries",
                "start a worker: it reads them again",
            )
        ]
    return ok(f"{amount:,} in work")


def parked(run: Run) -> list[Verdict]:
    """Judge what could not be folded."""
    if not run.letters:
        return ok("nothing is parked")
    return [
        warning(
            f"entries that could not be folded: {run.letters:,} kept, {run.view.parked:,} ever",
            f"sanctum dead-letters {run.view.run_id} says why; where that is to rebuild the run: sanctum rebuild "
            f"{run.view.run_id}; else mend the cause, then --requeue or --drop them",
        )
    ]


def lost(run: Run) -> list[Verdict]:
    """Judge what never arrived."""
    reasons = ", ".join(f"{reason} {amount:,}" for reason, amount in sorted(run.view.lost.items()) if amount)
    if not (reasons or run.view.lost_ranges):
        return ok("nothing is lost")
    return [
        warning(
            f"events that never arrived: {reasons or 'entries were trimmed unread'}",
            "they are gone; lost_ranges of the checkpoint says which. dropped: a larger buffer, or spill_path; "
            "trimmed: more workers; gap: a failover or a restart of the server took them",
        )
    ]


def whole(run: Run) -> list[Verdict]:
    """Judge whether the last commit went through."""
    if run.view.is_torn:
        return [
            warning("the last commit died half-way", "a worker folds the run anew: start one, or wait for it")
        ]
    return ok("whole")


def registered(run: Run) -> list[Verdict]:
    """Judge whether workers find a run at once."""
    if run.registered:
        return ok("registered")
    return [
        note(
            "not in the index of runs: found by scanning alone",
            "leave scan_interval_s above 0; publish with Publisher",
        )
    ]
