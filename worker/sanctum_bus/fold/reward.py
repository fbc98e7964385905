"""REWARD_COMPUTED: a step of the policy in one environment, or a penalty beside one."""

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
    total = needs.number(data, "total_reward")
    needs.text(data, "ab_group")
    stored_names(_STEP, tuple(data))
    env = active_env(scope, env_id)
    if action in _PENALTIES:
        for name in [name for name in env if name.startswith("penalty.")]:
            del env[name]
        capture(env, data, _PENALTY)
        env["penalties"] = count(env["penalties"], action)
    else:
        capture(env, data, _STEP)
        _take_step(env, event, action, total)
    put_envelope(env, event)


def _take_step(env: Fields, event: Event, action: str | None, total: float | None) -> None:
    data = event.data
    if total is not None:
        env["reward_history"] = appended(env["reward_history"], total)
        best = env["best_reward"]
        if total == total and (best is None or total > best):  # noqa: PLR0124  # NaN is not itself
            env["best_reward"], env["best_reward_epoch"] = total, event.epoch
    if action is not None:
        family = normalised(action)
        env["action_history"] = appended(env["action_history"], family)
        env["action_counts"] = count(env["action_counts"], family)
        env["total_actions"] += 1
    if data.get("ab_group"):
        env["cohort"] = data["ab_group"]
    if data.get("action_confidence") is not None:
        for name, stored in _DECISION.items():
            if name in data:
                env[stored] = data[name]
            else:
                env.pop(stored, None)


def normalised(action: str) -> str:
    """Return the family of an action, or the action itself where it has none."""
    for family in _FAMILIES:
        if action.startswith(family + "_"):
            return family
    return action
