"""Values that need no memory: what a reader works out of a snapshot's sections, in one place.

Pure functions. What was not measured stays None and never becomes a number; NaN that was measured stays NaN.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from sanctum_bus.events.stages import NOT_LIVE
from sanctum_bus.protocol.entry import FieldsView, Value
from sanctum_bus.protocol.section_names import env_ids, family_prefix, is_number

Sections = Mapping[str, FieldsView]


#: Longest integer that is worked with, in bits: JSON text may hold one that no float takes.
_MAX_BITS = 1000

_DIGITS = re.compile(r"([0-9]+)")


def envs(sections: Sections, *, group: str = "") -> dict[int, FieldsView]:
    """Return the sections of a run's environments by id, in order."""
    prefix = family_prefix(group, "env")
    return {env_id: sections[f"{prefix}{env_id}"] for env_id in env_ids(sections, group=group)}


def seeds(sections: Sections, *, group: str = "") -> dict[int, dict[str, FieldsView]]:
    """Return the sections of a run's seeds by environment and slot, in order: `r0c2` stands before `r0c10`."""
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
    """Return how many seeds are in which stage now, in the order of the stages' names."""
    counts = Counter(str(seed["stage"]) for seed in seeds if seed.get("stage") is not None)
    return dict(sorted(counts.items()))


def active_seeds(seeds: Iterable[FieldsView]) -> int:
    """Return how many seeds are alive now; a stage that nobody knows is a live one."""
    return sum(times for stage, times in stages(seeds).items() if stage not in NOT_LIVE)


def growth_ratio(run: FieldsView, env: FieldsView) -> float | None:
    """Return (host parameters + fossilised parameters) / host parameters of one environment, from 1.0 up.

    None where the run does not say how many parameters its host has.
    """
    host, grown = number(run.get("host_params")), number(env.get("fossilized_params"))
    return (host + (grown or 0)) / host if host else None


def current_reward(env: FieldsView) -> float | None:
    """Return the total reward of an environment's last step."""
    history = _numbers(env.get("reward_history"))
    return history[-1] if history else None


def mean_reward(env: FieldsView) -> float | None:
    """Return the mean total reward of an environment's last steps, at most 50, of this episode."""
    return mean(_numbers(env.get("reward_history")))


def action_percentages(env: FieldsView) -> dict[str, float]:
    """Return the share of each action in this episode, in percent, the most frequent first."""
    counts = env.get("action_counts")
    known = counts.items() if isinstance(counts, Mapping) else ()
    times = {str(action): count for action, value in known if (count := number(value))}
    total = sum(times.values())
    return {action: 100 * count / total for action, count in sorted(times.items(), key=lambda item: -item[1])}


def mean_accuracy(sections: Sections, *, group: str = "") -> float | None:
    """Return the mean of what the environments reported last as their validation accuracy, in percent.

    It mixes epochs while one is going on; `mean_accuracy` of the section `run` is that of the last whole epoch.
    """
    return _mean_over(sections, group, "val_accuracy")


def mean_best_accuracy(sections: Sections, *, group: str = "") -> float | None:
    """Return the mean of the environments' best validation accuracies of this episode, in percent."""
    return _mean_over(sections, group, "best_accuracy")


def runtime_s(run: FieldsView) -> float | None:
    """Return the time from the run's start to its last event, in seconds, by the events' own clock."""
    began, last = number(run.get("started_at")), number(run.get("last_event_at"))
    return None if began is None or last is None else last - began


def quiet_s(run: FieldsView, now_s: float) -> float | None:
    """Return how long ago the run's last event was emitted, in seconds.

    Args:
        run: the section `run`.
        now_s: Unix seconds; of the producer's clock if there is a choice.
    """
    last = number(run.get("last_event_at"))
    return None if last is None else now_s - last


def mean(values: Iterable[float]) -> float | None:
    """Return the mean, or None of nothing; NaN where one is NaN or the sum has no end."""
    known = list(values)
    if not known:
        return None
    # fsum is exact, so that the order cannot show in the last bit.
    try:
        return math.fsum(known) / len(known)
    except (OverflowError, ValueError):
        return math.nan


def number(value: Value) -> float | None:
    """Return a number as it is, and None for whatever else an emitter may have put there."""
    if type(value) is float or (type(value) is int and value.bit_length() <= _MAX_BITS):
        return value
    return None


def _numbers(values: Value) -> list[float]:
    listed = values if isinstance(values, list) else []
    return [known for value in listed if (known := number(value)) is not None]


def _mean_over(sections: Sections, group: str, field: str) -> float | None:
    return mean(_numbers([env.get(field) for env in envs(sections, group=group).values()]))


def _natural(name: str) -> list[tuple[int, str]]:
    parts = _DIGITS.split(name)
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]
