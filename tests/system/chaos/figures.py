"""The figures of a chaos run, for people."""

import itertools
from collections import Counter

from tests.system.chaos.battle import Outcome
from tests.system.chaos.watch import Stall

#: Seconds from which on a run that is not folding is more than between two commits, on a machine that does it all.
_LONG_S = 1.0

#: How many of the longest are shown.
_WORST = 6

#: Targets in seconds, by the change of the membership; printed, never asserted.
_GOALS = {"a worker joins": 2.0, "a worker is stopped": 1.0, "a worker is killed": 5.0}


def figures(outcome: Outcome) -> str:
    """Return the figures, one a line."""
    plan, total = outcome.plan, outcome.total
    lines = [
        _line(
            f"{plan.server}, seed {plan.seed}: {plan.workers} workers, {plan.runs} runs,",
            f"{plan.publishers} publisher processes, {plan.seconds:g} s",
        ),
        _line(
            f"  events      {total.emitted:,} emitted, {total.acknowledged:,} acknowledged,",
            f"{total.arrived:,} in the streams, {total.dropped:,} dropped or left behind",
        ),
        _line(
            f"  folded      {total.events:,} and {total.parked:,} parked, of {total.entries:,} entries;",
            f"{total.duplicates:,} sent twice and left out",
        ),
        _line(
            f"  lost        {total.lost:,} by the server after it had acknowledged them ({_at_most(outcome)}),",
            f"folded twice {total.twice:,}",
        ),
        *_membership(outcome),
        *_stalls(outcome),
        f"  take-overs  {outcome.take_overs:,}",
        f"  mishaps     {', '.join(f'{count} x {kind}' for kind, count in sorted(_counts(outcome).items()))}",
    ]
    lines += [f"  BROKEN     {problem}" for problem in outcome.problems]
    lines.append(
        f"  {'every run is the straight fold of its stream' if not outcome.problems else 'NOT AS PROMISED'}"
    )
    return "\n".join(lines)


def percentile(stalls: list[float], total: float, share: float) -> float:
    """Return for how long, during so great a share of all time, no run had not been folding longer than that.

    Args:
        stalls: how long each lasted.
        total: the time of all runs together.
        share: 0 to 1.
    """
    ordered = sorted(stalls, reverse=True)
    left, beyond = total * (1 - share), 0.0
    for number, (stall, following) in enumerate(itertools.pairwise([*ordered, 0.0]), 1):
        # So much more time lies above the next shorter stall than above this one.
        more = number * (stall - following)
        if beyond + more >= left:
            return stall - (left - beyond) / number
        beyond += more
    return 0.0


def _at_most(outcome: Outcome) -> str:
    if outcome.lost_by_server is None:
        return "replication is asynchronous"
    return f"it lost {outcome.lost_by_server:,}, acknowledged or not"


def _membership(outcome: Outcome) -> list[str]:
    return [
        _line(
            f"  membership  {change.what}: {change.moved} runs folded by their new owner after {change.seconds:.2f} s",
            f"(goal {_GOALS[change.what]:g} s; {change.since_start_s:.2f} s after the command);",
            f"{change.moved_needlessly} others taken over",
        )
        for change in outcome.changes
    ]


def _stalls(outcome: Outcome) -> list[str]:
    """For how long runs were not folding, and what happened meanwhile to those that had it worst."""
    seconds = [stall.seconds for stall in outcome.stalls]
    beyond = percentile(seconds, outcome.seconds * outcome.plan.runs, 0.99)
    each = dict.fromkeys(outcome.plan.run_ids, 0.0)
    for stall in outcome.stalls:
        each[stall.run] += stall.seconds if stall.seconds >= _LONG_S else 0.0
    lines = [
        _line(
            f"  not folding at most {max(seconds, default=0.0):.2f} s at a time; for 99 % of the time less than {beyond:.2f} s;",
            f"the worst run {max(each.values()):.1f} of {outcome.seconds:.0f} s, if {_LONG_S:g} s or more count",
        )
    ]
    worst = sorted(outcome.stalls, key=lambda stall: -stall.seconds)[:_WORST]
    return lines + [
        f"    {stall.seconds:5.2f} s {stall.run}: {_meanwhile(outcome, stall)}" for stall in worst
    ]


def _meanwhile(outcome: Outcome, stall: Stall) -> str:
    """The mishaps that went on while a run was not folding."""
    until = stall.began + stall.seconds
    found = [
        mishap.kind
        for at, mishap in outcome.mishaps
        if at <= until and at + mishap.length_s >= stall.began - 1
    ]
    return ", ".join(found) or "nothing"


def _counts(outcome: Outcome) -> Counter[str]:
    return Counter(mishap.kind for _, mishap in outcome.mishaps)


def _line(*parts: str) -> str:
    return " ".join(parts)
