"""REWARD_COMPUTED: a step of the policy in one environment, or a penalty beside one."""

from collections import Counter
from functools import lru_cache

from sanctum_bus.fold import needs
from sanctum_bus.fold.capture import capture, capture_all, put_envelope, route, stored_names
from sanctum_bus.fold.env import active_env, env_section
from sanctum_bus.fold.scope import Scope
from sanctum_bus.fold.tally import count
from sanctum_bus.state import Fields, appended
from sanctum_bus.wire.decode import Event

#: Action names that are no actions: extra events that say what a step was docked.
_PENALTIES = frozenset({"PUNISHMENT", "AUTO_CULL_PENALTY"})

#: Action families: a name that begins with one of these and a `_` is counted as the family.
_FAMILIES = ("GERMINATE", "FOSSILIZE", "CULL", "PRUNE")

#: Fields of a step that say what the policy decided, and why; they stay in `reward.` too.
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

_STEP = route("REWARD_COMPUTED", prefix="reward.")
_PENALTY = route("REWARD_COMPUTED", prefix="penalty.")


def reward_computed(scope: Scope, event: Event) -> None:
    """A step, or a penalty: that is no action, no epoch, and never resets anything."""
    data = event.data
    env_id, action = needs.env_id(event), needs.text(data, "action_name")
    needs.number(data, "total_reward")
    needs.text(data, "ab_group")
    stored_names(_STEP, event.shape)
    env = active_env(scope, env_id)
    name = scope.prefix + env_section(env_id)
    if action in _PENALTIES:
        _put_penalty(scope.state.edit(name), event)
        env["penalties"] = count(env["penalties"], action)
        return
    scope.state.leave(name, _put_steps, event)


def _put_penalty(env: Fields, event: Event) -> None:
    for name in [name for name in env if name.startswith("penalty.")]:
        del env[name]
    capture(env, event.data, event.shape, _PENALTY)
    put_envelope(env, event)


def _put_steps(env: Fields, events: list[Event]) -> None:
    capture_all(env, events, _STEP)
    said = [event.data for event in events]
    decided = next((data for data in reversed(said) if data.get("action_confidence") is not None), None)
    if decided is not None:
        _put_decision(env, decided)
    cohort = next((data["ab_group"] for data in reversed(said) if data.get("ab_group")), None)
    if cohort is not None:
        env["cohort"] = cohort
    _add_rewards(env, events)
    _add_actions(env, [action for data in said if (action := data.get("action_name")) is not None])


def _put_decision(env: Fields, data: Fields) -> None:
    for name, stored in _DECISION.items():
        if name in data:
            env[stored] = data[name]
        else:
            env.pop(stored, None)


def _add_rewards(env: Fields, events: list[Event]) -> None:
    totals = []
    best, best_epoch = env["best_reward"], env["best_reward_epoch"]
    for event in events:
        total = event.data.get("total_reward")
        if total is None:
            continue
        totals.append(total)
        if (best is None or total > best) and total == total:  # noqa: PLR0124  # NaN is not itself
            best, best_epoch = total, event.epoch
    env["reward_history"] = appended(env["reward_history"], *totals)
    env["best_reward"], env["best_reward_epoch"] = best, best_epoch


def _add_actions(env: Fields, actions: list[str]) -> None:
    families = [*map(normalised, actions)]
    env["action_history"] = appended(env["action_history"], *families)
    env["action_counts"] = dict(Counter(env["action_counts"]) + Counter(families))
    env["total_actions"] += len(families)


@lru_cache(maxsize=4096)
def normalised(action: str) -> str:
    """Return the family of an action, or the action itself where it has none."""
    for family in _FAMILIES:
        if action.startswith(family + "_"):
            return family
    return action
