"""Scopes: the sections of the run itself, or those of one A/B group."""

from dataclasses import dataclass

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.decode import Event
from sanctum_bus.fold.state import State
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.section_names import ENV, RUN, env_section, name_part, seed_family

#: Groups whose sections have no prefix. None is an event without a group.
PLAIN_GROUPS = frozenset({None, "", "default"})

#: Scopes in the cache: more than the groups of any A/B test.
_MAX_SCOPES = 64


@dataclass(slots=True)
class Scope:
    """The sections that one event can change.

    Args:
        state: all sections of the run.
        prefix: `""`, or `<group>/`.
    """

    state: State
    prefix: str

    @property
    def run(self) -> Fields:
        """The run's section for reading, or an empty map if it does not exist. Writes to it are never deferred."""
        return self.state.live(self.prefix + RUN) or {}

    def get(self, name: str) -> Fields | None:
        """Return a section for reading, or None if it does not exist."""
        return self.state.get(self.prefix + name)

    def edit(self, name: str) -> Fields:
        """Return a section for writing. A missing section is created."""
        return self.state.edit(self.prefix + name)

    def replace(self, name: str, fields: Fields) -> Fields:
        """Replace a section by a new record."""
        return self.state.replace(self.prefix + name, fields)

    def envs(self) -> list[Fields]:
        """Return the live fields of every environment."""
        live = self.state.live
        return [fields for name in self.state.children(self.prefix + ENV) if (fields := live(name))]

    def seeds(self, env_id: int) -> list[Fields]:
        """Return the live fields of an environment's seeds, in order of the section names."""
        live, names = self.state.live, sorted(self.state.children(self.prefix + seed_family(env_id)))
        return [fields for name in names if (fields := live(name))]

    def reserve(self, *names: str) -> None:
        """Check that all missing sections among the names can be added. Handlers call this before they write.

        Raises:
            InvalidEntry: one would exceed the limit.
        """
        self.state.reserve([self.prefix + name for name in names])

    def reserve_env(self, env_id: int) -> None:
        """Check that an environment exists or can be added.

        Raises:
            InvalidEntry: it would exceed the limit.
        """
        state = self.state
        if (
            state.live(self.prefix + env_section(env_id)) is None
            and state.count_children(self.prefix + ENV) >= state.max_envs
        ):
            raise InvalidEntry(
                f"environment {env_id} would exceed the limit of {state.max_envs:,} environments"
            )


def scope_of(state: State, event: Event) -> Scope:
    """Return the scope of an event."""
    group = event.group_id
    scope = state.scopes.get(group)
    if scope is None:
        scope = Scope(state, "" if group is None or group in PLAIN_GROUPS else name_part(group) + "/")
        if len(state.scopes) < _MAX_SCOPES:
            state.scopes[group] = scope
    return scope
