"""Where an event's sections are: in the run itself, or under the name of its group."""

from dataclasses import dataclass

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.events.decode import Event
from sanctum_bus.fold.state import State
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.section_names import name_part

#: The groups whose sections are the plain ones.
_PLAIN_GROUPS = frozenset({"", "default"})

#: Scopes that are kept; more groups than are ever compared in one run.
_MAX_SCOPES = 64


@dataclass(slots=True)
class Scope:
    """The sections that one event may touch.

    Args:
        state: all sections of the run.
        prefix: `""`, or `<group>/`.
    """

    state: State
    prefix: str

    @property
    def run(self) -> Fields:
        """The run's section, for reading; empty where there is none."""
        return self.state.peek(self.prefix + "run") or {}

    def get(self, name: str) -> Fields | None:
        """Return a section for reading, or None."""
        return self.state.get(self.prefix + name)

    def edit(self, name: str) -> Fields:
        """Return a section for writing."""
        return self.state.edit(self.prefix + name)

    def replace(self, name: str, fields: Fields) -> Fields:
        """Put a new record in a section's place."""
        return self.state.replace(self.prefix + name, fields)

    def envs(self) -> list[Fields]:
        """Return every environment's section; only what is derived there, or said to be read at once, is up to date."""
        peek = self.state.peek
        return [fields for name in self.state.children(self.prefix + "env") if (fields := peek(name))]

    def seeds(self, env_id: int) -> list[Fields]:
        """Return the seed sections of an environment, in order of their names; as with `envs`."""
        names = sorted(self.state.children(f"{self.prefix}seed:{env_id}"))
        return [fields for name in names if (fields := self.state.peek(name))]

    def make_sure_of(self, *names: str) -> None:
        """Refuse sections of which one would be too many, before anything is written.

        Raises:
            Unfit: it would.
        """
        self.state.make_sure_of([self.prefix + name for name in names])

    def has_room_for_env(self, env_id: int) -> None:
        """Refuse an environment that would be one too many.

        Raises:
            Unfit: it would.
        """
        state = self.state
        if (
            state.peek(f"{self.prefix}env:{env_id}") is None
            and state.count_children(self.prefix + "env") >= state.max_envs
        ):
            raise InvalidEntry(f"environment {env_id} would be one over the limit of {state.max_envs:,}")


def scope_of(state: State, event: Event) -> Scope:
    """Return where an event's sections are."""
    group = event.group_id
    scope = state.scopes.get(group)
    if scope is None:
        scope = Scope(state, "" if group is None or group in _PLAIN_GROUPS else name_part(group) + "/")
        if len(state.scopes) < _MAX_SCOPES:
            state.scopes[group] = scope
    return scope
