"""Lines of the seed event log: one for each SEED_* event and each milestone. Handlers return them as values."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from sanctum_bus.events.decode import Event
from sanctum_bus.events.names import FIELD_ALIASES
from sanctum_bus.events.shape import Shape
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.require import Data, is_integer
from sanctum_bus.protocol.entry import Fields, Value

#: Maximum length, in characters, of a message in the emitter's own words.
_MESSAGE_CHARS = 200

_MILESTONE_PREFIXES = ("SEED_", "GOVERNOR_", "CHECKPOINT_")
_MILESTONE_SUFFIX = "_DETECTED"


#: One line: `type`, `at`, `env_id`, `slot_id`, `blueprint_id`, `episode`, `message` and `data`. Null fields are absent.
#: The ID of the line is the ID of its entry.
LogFields: TypeAlias = Fields


def line(scope: Scope, event: Event, message: str, *, blueprint: Value = None) -> LogFields:
    """Return the log line of an event."""
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
    """Return a log line without an event of the training.

    Args:
        event_type: type of the line, in the place of an event type.
        at: time in Unix seconds, or None if it is unknown.
        message: text of the line.
    """
    return {"type": event_type} | ({} if at is None else {"at": at}) | {"message": message, "data": {}}


def _canonical(shape: Shape, data: Data) -> Data:
    """Return a payload under canonical names. A field that already has its canonical name wins over an alias."""
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
    """Return the log line about what is missing before an entry that has no line of its event.

    Args:
        at: time of the entry, in Unix seconds.
        missing: `lost` numbers of its producer, `dropped` of them by the publisher, and `trimmed` entries of the stream.
    """
    parts = []
    if "lost" in missing:
        parts.append(f"{missing['lost']:,} events of this producer before this one were lost")
    if "dropped" in missing:
        parts.append(f"{missing['dropped']:,} of them its publisher dropped")
    if "trimmed" in missing:
        parts.append(f"entries before this one were trimmed unread: {missing['trimmed']:,} or more")
    return synthetic_line("_lost", at, "; ".join(parts))


def episode_of(scope: Scope, env_id: Value) -> Value:
    """Return the 0-based episode of an environment: completed episodes (or the resume offset) plus its index."""
    run = scope.run
    base = run.get("episodes_completed")
    if base is None:
        base = run.get("start_episode")
    if not is_integer(base):
        base = 0
    return base + env_id if is_integer(env_id) else base


def milestone(scope: Scope, event: Event) -> LogFields | None:
    """Return the line of an event in the emitter's own words, or None if it is not a milestone."""
    return line(scope, event, own_message(event)) if _is_milestone(event.shape.type) else None


@lru_cache(maxsize=4096)
def _is_milestone(event_type: str) -> bool:
    return event_type.startswith(_MILESTONE_PREFIXES) or event_type.endswith(_MILESTONE_SUFFIX)


def own_message(event: Event) -> str:
    """Return the first line of the event's own message, or its type if it has none."""
    return first_line(event.message) or event.type


def first_line(text: Value) -> str:
    """Return the first line of a text, at most 200 characters, or an empty text for any other value."""
    lines = text.strip().splitlines() if isinstance(text, str) else []
    return lines[0].strip()[:_MESSAGE_CHARS] if lines else ""


def signed(value: float, style: str) -> str:
    """Return a formatted number. A negative value that rounds to zero has no minus."""
    shown = format(value, style)
    return (
        shown
        if any(digit in shown for digit in "123456789in")
        else shown.replace("-", "+" if "+" in style else "")
    )
