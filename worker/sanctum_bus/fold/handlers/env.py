"""The record of one environment, and the start of its episodes."""

from sanctum_bus.fold.derived_fields import episode_prefixes, new_record
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.log_line import episode_of
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.section_names import env_section, seed_family

#: Prefixes of the fields that the next episode removes.
_EPISODE_PREFIXES = episode_prefixes()


def has_reported(env: Fields) -> bool:
    """Return whether an environment has reported an accuracy in its episode. It reads only live fields."""
    return env["best_accuracy"] is not None or env["epochs_since_improvement"] > 0


def active_env(scope: Scope, env_id: int) -> Fields:
    """Return the live fields of an environment for writing, in an episode that is not over.

    A missing environment is created. If its episode is over, the next one starts: a new record keeps the fields that do
    not belong to an episode, and the seeds are dropped.

    Raises:
        InvalidEntry: the environment would exceed the limit.
    """
    name = scope.prefix + env_section(env_id)
    state = scope.state
    live = state.live(name)
    if live is not None and not live["episode_over"]:
        # As `edit_live` does, without its look-up: nearly every event comes here.
        state.changed[name] = state.entry_id
        return live
    if live is None:
        scope.reserve_env(env_id)
        kept: Fields = {"env_id": env_id}
    else:
        old = state.edit(name)
        state.drop(state.children(scope.prefix + seed_family(env_id)))
        kept = {key: value for key, value in old.items() if not key.startswith(_EPISODE_PREFIXES)}
    return state.replace(name, kept | new_record("env") | {"episode": episode_of(scope, env_id)})
