"""Derived values that need no memory: pure functions of a snapshot's sections. Views do no other arithmetic.

A value that was not measured stays None and never becomes a number. A measured NaN stays NaN.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias
from urllib.parse import unquote

from sanctum_bus.events.stages import NOT_LIVE
from sanctum_bus.protocol import stream_id
from sanctum_bus.protocol.entry import FieldsView, Value
from sanctum_bus.protocol.section_names import env_ids, family_prefix, is_number
from sanctum_bus.reader import Snapshot

#: Name of a section -> its fields.
Sections: TypeAlias = Mapping[str, FieldsView]

#: Seconds without an event after which a run that has not ended is quiet.
QUIET_S = 60.0

#: Longest integer to calculate with, in bits: JSON text may hold one that does not fit into a float.
_MAX_BITS = 1000

_DIGITS = re.compile(r"([0-9]+)")


def envs(sections: Sections, *, group: str = "") -> dict[int, FieldsView]:
    """Return the sections of the environments by ID, in order."""
    prefix = family_prefix(group, "env")
    return {env_id: sections[f"{prefix}{env_id}"] for env_id in env_ids(sections, group=group)}


def seeds(sections: Sections, *, group: str = "") -> dict[int, dict[str, FieldsView]]:
    """Return the sections of the seeds by environment and slot, in natural order: `r0c2` before `r0c10`."""
    prefix = family_prefix(group, "seed")
    found: dict[int, dict[str, FieldsView]] = {}
    for name in sorted(sections, key=_natural):
        if name.startswith(prefix):
            env_id, _, slot = name.removeprefix(prefix).partition(":")
            if is_number(env_id):
                found.setdefault(int(env_id), {})[unquote(slot)] = sections[name]
    return found


def seeds_of_run(sections: Sections, *, group: str = "") -> list[FieldsView]:
    """Return the sections of all seeds of a run."""
    return [seed for slots in seeds(sections, group=group).values() for seed in slots.values()]


def stages(seeds: Iterable[FieldsView]) -> dict[str, int]:
    """Return the number of seeds in each stage now, ordered by the name of the stage."""
    counts = Counter(str(seed["stage"]) for seed in seeds if seed.get("stage") is not None)
    return dict(sorted(counts.items()))


def active_seeds(seeds: Iterable[FieldsView]) -> int:
    """Return the number of live seeds; an unknown stage counts as live."""
    return sum(times for stage, times in stages(seeds).items() if stage not in NOT_LIVE)


def growth_ratio(run: FieldsView, env: FieldsView) -> float | None:
    """Return (host parameters + fossilized parameters) / host parameters of one environment, from 1.0 up.

    None if the run does not state the parameters of its host.
    """
    host, grown = number(run.get("host_params")), number(env.get("fossilized_params"))
    return (host + (grown or 0)) / host if host else None


def current_reward(env: FieldsView) -> float | None:
    """Return the total reward of an environment's last step."""
    history = _numbers(env.get("reward_history"))
    return history[-1] if history else None


def mean_reward(env: FieldsView) -> float | None:
    """Return the mean total reward of an environment's last steps in this episode, at most 50."""
    return mean(_numbers(env.get("reward_history")))


def action_percentages(env: FieldsView) -> dict[str, float]:
    """Return the share of each action in this episode, in percent, the most frequent first."""
    counts = env.get("action_counts")
    known = counts.items() if isinstance(counts, Mapping) else ()
    times = {str(action): count for action, value in known if (count := number(value))}
    total = sum(times.values())
    return {action: 100 * count / total for action, count in sorted(times.items(), key=lambda item: -item[1])}


def mean_accuracy(sections: Sections, *, group: str = "") -> float | None:
    """Return the mean of the validation accuracies that the environments reported last, in percent.

    During an epoch it mixes two epochs. `mean_accuracy` of the section `run` is the mean of the last complete epoch.
    """
    return _mean_over(sections, group, "val_accuracy")


def mean_best_accuracy(sections: Sections, *, group: str = "") -> float | None:
    """Return the mean of the environments' best validation accuracies of this episode, in percent."""
    return _mean_over(sections, group, "best_accuracy")


def runtime_s(run: FieldsView) -> float | None:
    """Return the seconds from the start of a run to its last event, by the clock of the events."""
    began, last = number(run.get("started_at")), number(run.get("last_event_at"))
    return None if began is None or last is None else last - began


def is_quiet(quiet_s: float | None) -> bool:
    """Return whether so many seconds without an event make a running run quiet."""
    return quiet_s is not None and quiet_s > QUIET_S


def behind_s(snapshot: Snapshot) -> float:
    """Return for how many seconds, at least, entries have waited to be folded; 0 if none waits."""
    if snapshot.is_current or snapshot.is_torn or not snapshot.generation:
        return 0.0
    arrived, folded = (stream_id.milliseconds(one) / 1000 for one in (snapshot.last_id, snapshot.version))
    return max(snapshot.server_time_s - arrived, arrived - folded)


def mean_improvement(blueprint: FieldsView) -> float | None:
    """Return the mean improvement of a blueprint's ended seeds, in percentage points; None if none has ended."""
    ended = sum(as_float(blueprint.get(name)) or 0.0 for name in ("fossilized", "culled"))
    total = as_float(blueprint.get("improvement_sum"))
    return total / ended if total is not None and ended > 0 else None


def mean(values: Iterable[float]) -> float | None:
    """Return the mean; None for no values, NaN if a value is NaN or the sum overflows."""
    known = list(values)
    if not known:
        return None
    # fsum is exact, so that the order of the values does not change the last bit.
    try:
        return math.fsum(known) / len(known)
    except (OverflowError, ValueError):
        return math.nan


def number(value: Value) -> float | None:
    """Return a number to calculate with, unchanged; None for anything else, and for integers beyond a float's range."""
    if type(value) is float or (type(value) is int and value.bit_length() <= _MAX_BITS):
        return value
    return None


def as_float(value: Value) -> float | None:
    """Return a number to show, as a float: NaN and infinities included; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_floats(value: Value) -> tuple[float, ...]:
    """Return a history to show, as floats; NaN for a missing value, empty for anything but a list."""
    found = [as_float(item) for item in value] if isinstance(value, list) else []
    return tuple(math.nan if item is None else item for item in found)


def _numbers(values: Value) -> list[float]:
    listed = values if isinstance(values, list) else []
    return [known for value in listed if (known := number(value)) is not None]


def _mean_over(sections: Sections, group: str, field: str) -> float | None:
    return mean(_numbers([env.get(field) for env in envs(sections, group=group).values()]))


def _natural(name: str) -> list[tuple[int, str]]:
    parts = _DIGITS.split(name)
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]
