"""REWARD_COMPUTED: a step of the policy in one environment, or a penalty beside one."""

from functools import lru_cache

from sanctum_bus.fold import needs
from sanctum_bus.fold.capture import capture, put_envelope, route, stored_names
from sanctum_bus.fold.env import active_env
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
    total, cohort = needs.number(data, "total_reward"), needs.text(data, "ab_group")
    stored_names(_STEP, event.shape)
    env = active_env(scope, env_id)
    name = f"{scope.prefix}env:{env_id}"
    if action in _PENALTIES:
        _put_penalty(scope.state.edit(name), event)
        env["penalties"] = count(env["penalties"], action)
        return
    scope.state.leave(name, event.shape, _put_step, event)
    if data.get("action_confidence") is not None:
        scope.state.leave(name, "decision", _put_decision, data)
    if cohort:
        env["cohort"] = cohort
    if total is not None:
        _add_reward(env, total, event.epoch)
    if action is not None:
        _add_action(env, normalised(action))


def _put_penalty(env: Fields, event: Event) -> None:
    for name in [name for name in env if name.startswith("penalty.")]:
        del env[name]
    capture(env, event.data, event.shape, _PENALTY)
    put_envelope(env, event)


def _put_step(env: Fields, event: Event) -> None:
    capture(env, event.data, event.shape, _STEP)
    put_envelope(env, event)


def _put_decision(env: Fields, data: Fields) -> None:
    for name, stored in _DECISION.items():
        if name in data:
            env[stored] = data[name]
        else:
            env.pop(stored, None)


def _add_reward(env: Fields, total: float, epoch: float | None) -> None:
    env["reward_history"] = appended(env["reward_history"], total)
    best = env["best_reward"]
    if total == total and (best is None or total > best):  # noqa: PLR0124  # NaN is not itself
        env["best_reward"], env["best_reward_epoch"] = total, epoch


def _add_action(env: Fields, family: str) -> None:
    env["action_history"] = appended(env["action_history"], family)
    env["action_counts"] = count(env["action_counts"], family)
    env["total_actions"] += 1


@lru_cache(maxsize=4096)
def normalised(action: str) -> str:
    """Return the family of an action, or the action itself where it has none."""
    for family in _FAMILIES:
        if action.startswith(family + "_"):
            return family
    return action
