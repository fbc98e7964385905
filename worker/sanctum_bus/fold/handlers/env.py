"""One environment: its record, and where an episode of it begins."""

from sanctum_bus.fold.derived_fields import episode_prefixes, new_record
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.log_line import episode_of
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.section_names import env_section

#: Prefixes of the fields that an episode ends.
_PER_EPISODE_PREFIXES = episode_prefixes()


def has_reported(env: Fields) -> bool:
    """Whether an environment has reported an accuracy in its episode; asked of what is derived at once."""
    return env["best_accuracy"] is not None or env["epochs_since_improvement"] > 0


def active_env(scope: Scope, env_id: int) -> Fields:
    """Return an environment's section for writing what is derived there, in an episode that is not over.

    An environment that nobody announced is made; one whose episode was over begins the next: a new record that takes
    over what does not belong to an episode, and no seeds.

    Raises:
        Unfit: it would be one environment too many.
    """
    name = scope.prefix + env_section(env_id)
    old = scope.state.peek(name)
    if old is not None and not old["episode_over"]:
        return scope.state.open(name)
    if old is None:
        scope.has_room_for_env(env_id)
        kept: Fields = {"env_id": env_id}
    else:
        old = scope.state.edit(name)
        scope.state.drop(scope.state.children(f"{scope.prefix}seed:{env_id}"))
        kept = {key: value for key, value in old.items() if not key.startswith(_PER_EPISODE_PREFIXES)}
    return scope.state.replace(name, kept | new_record("env") | {"episode": episode_of(scope, env_id)})
