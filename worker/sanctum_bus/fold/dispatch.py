"""The table of event handlers.

Fields are captured by default (`capture`), exceptions are rows of tables, and a handler exists only if events interact.
To handle an event type, write a handler and add it to `FOLDS`.
"""

from collections.abc import Callable

from sanctum_bus.events.decode import Event
from sanctum_bus.fold.groups import Scope, scope_of
from sanctum_bus.fold.handlers.batch import batch_completed
from sanctum_bus.fold.handlers.default import other
from sanctum_bus.fold.handlers.epoch import epoch_completed
from sanctum_bus.fold.handlers.policy import policy_updated
from sanctum_bus.fold.handlers.reward import reward_computed
from sanctum_bus.fold.handlers.run import training_started
from sanctum_bus.fold.handlers.seed import culled, fossilized, gate_evaluated, germinated, stage_changed
from sanctum_bus.fold.log_line import LogFields
from sanctum_bus.fold.state import State

Fold = Callable[[Scope, Event], LogFields | None]

#: Canonical event type -> its handler. Every other type has the handler `other`.
FOLDS: dict[str, Fold] = {
    "TRAINING_STARTED": training_started,
    "EPOCH_COMPLETED": epoch_completed,
    "REWARD_COMPUTED": reward_computed,
    "PPO_UPDATE_COMPLETED": policy_updated,
    "BATCH_EPOCH_COMPLETED": batch_completed,
    "SEED_GERMINATED": germinated,
    "SEED_STAGE_CHANGED": stage_changed,
    "SEED_GATE_EVALUATED": gate_evaluated,
    "SEED_FOSSILIZED": fossilized,
    "SEED_CULLED": culled,
}


def fold(state: State, event: Event) -> LogFields | None:
    """Fold one event into the state, and return its log line. The caller also calls `run.note_event`.

    Handlers check an event before they write. If one raises although `state.changed` names the current entry, the state
    is invalid.

    Raises:
        InvalidEntry: the event cannot be folded.
        DuplicateStart: a TRAINING_STARTED that was folded before. Nothing was changed.
    """
    scope = state.scopes.get(event.group_id) or scope_of(state, event)
    return FOLDS.get(event.shape.type, other)(scope, event)
