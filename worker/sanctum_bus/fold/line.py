"""Lines of the seed event log: one for each SEED_* event and each milestone, returned by a fold as a value."""

from typing import NamedTuple

from sanctum_bus.catalog.names import FIELD_ALIASES
from sanctum_bus.fold.needs import Data, is_whole
from sanctum_bus.fold.scope import Scope
from sanctum_bus.wire.decode import Event
from sanctum_bus.wire.values import Value

#: Longest message of a line whose words are the emitter's own, in characters.
_MESSAGE_CHARS = 200

_MILESTONE_PREFIXES = ("SEED_", "GOVERNOR_", "CHECKPOINT_")
_MILESTONE_SUFFIX = "_DETECTED"


class Line(NamedTuple):
    """One line of the log; the id of the entry that caused it is its id."""

    type: str
    at: Value
    env_id: Value
    slot_id: Value
    blueprint_id: Value
    episode: Value
    message: str
    data: Data


def line(scope: Scope, event: Event, message: str, *, blueprint: Value = None) -> Line:
    """Return the line that an event causes."""
    aliases = FIELD_ALIASES.get(event.type)
    data = event.data
    if aliases:
        data = {aliases.get(name, name): value for name, value in data.items()} | {
            name: value for name, value in data.items() if name not in aliases
        }
    env_id = event.data.get("env_id")
    return Line(
        event.type,
        event.timestamp,
        env_id,
        event.slot_id or event.data.get("slot_id"),
        blueprint if blueprint is not None else event.data.get("blueprint_id"),
        episode_of(scope, env_id),
        message,
        data,
    )


def episode_of(scope: Scope, env_id: Value) -> Value:
    """Return the episode that an environment is in, 0-based: episodes completed, or the resume offset, plus its index."""
    run = scope.run
    base = run.get("episodes_completed")
    if base is None:
        base = run.get("start_episode")
    if not is_whole(base):
        base = 0
    return base + env_id if is_whole(env_id) else base


def milestone(scope: Scope, event: Event) -> Line | None:
    """Return the line of an event that no fold words itself, or None where it is no milestone."""
    if event.type.startswith(_MILESTONE_PREFIXES) or event.type.endswith(_MILESTONE_SUFFIX):
        return line(scope, event, own_message(event))
    return None


def own_message(event: Event) -> str:
    """Return the event's own message, its first line, or its type where there is none."""
    return first_line(event.message) or event.type


def first_line(text: Value) -> str:
    """Return the first line of a text, at most 200 characters; nothing of what is no text."""
    lines = text.strip().splitlines() if isinstance(text, str) else []
    return lines[0].strip()[:_MESSAGE_CHARS] if lines else ""


def signed(value: float, style: str) -> str:
    """Return a number as text, with a plus before what rounds to zero from below."""
    shown = format(value, style)
    return (
        shown
        if any(digit in shown for digit in "123456789in")
        else shown.replace("-", "+" if "+" in style else "")
    )
