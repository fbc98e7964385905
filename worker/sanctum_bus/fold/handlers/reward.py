"""REWARD_COMPUTED: a step of the policy in one environment, or a penalty beside a step."""

from functools import lru_cache
from typing import TypeAlias

from sanctum_bus.events.decode import Event
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import capture, capture_last, field_map, put_envelope, stored_names
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.handlers.blueprint import increment
from sanctum_bus.fold.handlers.env import active_env
from sanctum_bus.fold.state import append_history
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.keys import MAX_NAME_BYTES
from sanctum_bus.protocol.section_names import env_section

#: Action names that mark an extra event: the penalty of a step.
_PENALTIES = frozenset({"PUNISHMENT", "AUTO_CULL_PENALTY"})

#: Action families. A name that begins with one of these and `_` counts as the family.
_FAMILIES = ("GERMINATE", "FOSSILIZE", "CULL", "PRUNE")

#: Fields of a step that describe the decision of the policy. `reward.` holds them too.
_DECISION = {
    name: f"decision.{name}"
    for name in (
        "action_name",
        "action_slot",
        "action_confidence",
        "value_estimate",
        "slot_states",
        "alternatives",
        "host_accuracy",
        "total_reward",
    )
}

_STEP = field_map("REWARD_COMPUTED", prefix="reward.")
_PENALTY = field_map("REWARD_COMPUTED", prefix="penalty.")


def reward_computed(scope: Scope, event: Event) -> None:
    """Write a step or a penalty. A penalty is not an action and has no epoch."""
    data = event.data
    env_id, action = require.env_id(event), require.text(data, "action_name")
    total, cohort = require.number(data, "total_reward"), require.text(data, "ab_group")
    stored_names(_STEP, event.shape)
    active_env(scope, env_id)
    name = scope.prefix + env_section(env_id)
    if action in _PENALTIES:
        env = scope.state.edit(name)
        _put_penalty(env, event)
        env["penalties"] = increment(env["penalties"], action)
        return
    if "action_confidence" in data and data["action_confidence"] is None:
        # This step decides nothing. Its shape must not replace a deferred step of the same shape that did.
        scope.state.edit(name)
    scope.state.defer(name, _put_steps, event.shape, event, (total, event.epoch, action, cohort))


def _put_penalty(env: Fields, event: Event) -> None:
    for name in [name for name in env if name.startswith("penalty.")]:
        del env[name]
    capture(env, event.data, event.shape, _PENALTY)
    put_envelope(env, event)


#: The fields that every step adds: total reward, epoch, action and cohort.
Step: TypeAlias = tuple[float | None, float | None, str | None, str | None]


def _put_steps(env: Fields, events: list[Event], steps: list[Step]) -> None:
    capture_last(env, events, _STEP)
    decided = [event.data for event in events if event.data.get("action_confidence") is not None]
    if decided:
        _put_decision(env, decided[-1])
    cohorts = [cohort for _, _, _, cohort in steps if cohort]
    if cohorts:
        env["cohort"] = cohorts[-1]
    _add_rewards(env, [(total, epoch) for total, epoch, _, _ in steps if total is not None])
    _add_actions(env, [action for _, _, action, _ in steps if action is not None])


def _put_decision(env: Fields, data: Fields) -> None:
    for name, stored in _DECISION.items():
        if name in data:
            env[stored] = data[name]
        else:
            env.pop(stored, None)


def _add_rewards(env: Fields, rewards: list[tuple[float, float | None]]) -> None:
    env["reward_history"] = append_history(env["reward_history"], *[total for total, _ in rewards])
    best, best_epoch = env["best_reward"], env["best_reward_epoch"]
    for total, epoch in rewards:
        if (best is None or total > best) and total == total:  # noqa: PLR0124  # NaN is not itself
            best, best_epoch = total, epoch
    env["best_reward"], env["best_reward_epoch"] = best, best_epoch


def _add_actions(env: Fields, actions: list[str]) -> None:
    families = [_family(action) if len(action) <= MAX_NAME_BYTES else action for action in actions]
    env["action_history"] = append_history(env["action_history"], *families)
    counts = dict(env["action_counts"])
    for family in families:
        counts[family] = counts.get(family, 0) + 1
    env["action_counts"] = counts
    env["total_actions"] += len(families)


@lru_cache(maxsize=4096)
def _family(action: str) -> str:
    for family in _FAMILIES:
        if action.startswith(family + "_"):
            return family
    return action
