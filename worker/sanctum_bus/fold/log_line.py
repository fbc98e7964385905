"""Lines of the seed event log: one for each SEED_* event and each milestone, returned by a fold as a value."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from sanctum_bus.events.decode import Event
from sanctum_bus.events.names import FIELD_ALIASES
from sanctum_bus.events.shape import Shape
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.require import Data, is_integer
from sanctum_bus.protocol.entry import Fields, Value

#: Longest message of a line whose words are the emitter's own, in characters.
_MESSAGE_CHARS = 200

_MILESTONE_PREFIXES = ("SEED_", "GOVERNOR_", "CHECKPOINT_")
_MILESTONE_SUFFIX = "_DETECTED"


#: One line of the log: `type`, `at`, `env_id`, `slot_id`, `blueprint_id`, `episode`, `message` and `data`, of which what
#: is null is absent. The id of the entry that caused it is its id.
LogFields: TypeAlias = Fields


def line(scope: Scope, event: Event, message: str, *, blueprint: Value = None) -> LogFields:
    """Return the line that an event causes."""
    data, shape = event.data, event.shape
    env_id, slot_id = data.get("env_id"), event.slot_id or data.get("slot_id")
    if blueprint is None:
        blueprint = data.get("blueprint_id")
    fields: LogFields = {"type": shape.type, "at": event.timestamp}
    if env_id is not None:
        fields["env_id"] = env_id
    if slot_id is not None:
        fields["slot_id"] = slot_id
    if blueprint is not None:
        fields["blueprint_id"] = blueprint
    fields["episode"] = episode_of(scope, env_id)
    fields["message"] = message
    fields["data"] = _canonical(shape, data)
    return fields


def synthetic_line(event_type: str, at: Value, message: str) -> LogFields:
    """Return a line that no event of the training causes.

    Args:
        event_type: what it says instead of an event's type.
        at: in Unix seconds; None where nobody knows.
        message: the line in words.
    """
    return {"type": event_type} | ({} if at is None else {"at": at}) | {"message": message, "data": {}}


def _canonical(shape: Shape, data: Data) -> Data:
    """Return a payload under canonical names; where a field bears its own name already, that one counts."""
    aliases = FIELD_ALIASES.get(shape.type)
    if not aliases:
        return data
    names = shape.memo.get(_canonical)
    if names is None:
        names = shape.memo[_canonical] = tuple(aliases.get(name, name) for name in shape.names)
    if names == shape.names:
        return data
    fields = dict(zip(names, data.values(), strict=True))
    if len(fields) != len(data):
        fields |= {name: value for name, value in data.items() if name not in aliases}
    return fields


def loss_line(at: Value, missing: Mapping[str, int]) -> LogFields:
    """Return the line that says what is missing before an entry, where the entry has no line of its own.

    Args:
        at: when the entry was emitted, in Unix seconds.
        missing: `lost` numbers of its producer, `dropped` of them by the publisher, and `trimmed` entries of the stream.
    """
    said = []
    if "lost" in missing:
        said.append(f"{missing['lost']:,} events of this producer before this one were lost")
    if "dropped" in missing:
        said.append(f"{missing['dropped']:,} of them its publisher dropped")
    if "trimmed" in missing:
        said.append(f"entries before this one were trimmed unread: {missing['trimmed']:,} or more")
    return synthetic_line("_lost", at, "; ".join(said))


def episode_of(scope: Scope, env_id: Value) -> Value:
    """Return the episode that an environment is in, 0-based: episodes completed, or the resume offset, plus its index."""
    run = scope.run
    base = run.get("episodes_completed")
    if base is None:
        base = run.get("start_episode")
    if not is_integer(base):
        base = 0
    return base + env_id if is_integer(env_id) else base


def milestone(scope: Scope, event: Event) -> LogFields | None:
    """Return the line of an event that no fold words itself, or None where it is no milestone."""
    return line(scope, event, own_message(event)) if _is_milestone(event.shape.type) else None


@lru_cache(maxsize=4096)
def _is_milestone(event_type: str) -> bool:
    return event_type.startswith(_MILESTONE_PREFIXES) or event_type.endswith(_MILESTONE_SUFFIX)


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
