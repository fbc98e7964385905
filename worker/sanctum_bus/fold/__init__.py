"""The fold: what each event does to the state. Pure: no clock, no random, no I/O.

Capture is by default (`capture`), exceptions are rows of tables, and a function exists only where events interact. To
give an event type a fold of its own, write the function and add it to `FOLDS`.
"""

from collections.abc import Callable

from sanctum_bus.errors import DuplicateStart
from sanctum_bus.events.decode import Event
from sanctum_bus.fold.groups import Scope, scope_of
from sanctum_bus.fold.handlers.batch import batch_completed
from sanctum_bus.fold.handlers.default import other
from sanctum_bus.fold.handlers.epoch import epoch_completed
from sanctum_bus.fold.handlers.policy import policy_updated
from sanctum_bus.fold.handlers.reward import reward_computed
from sanctum_bus.fold.handlers.run import note_event, training_started
from sanctum_bus.fold.handlers.seed import culled, fossilized, gate_evaluated, germinated, stage_changed
from sanctum_bus.fold.log_line import LogFields
from sanctum_bus.fold.state import State

Fold = Callable[[Scope, Event], LogFields | None]

#: Canonical event type -> its fold; every other type goes to `other`.
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

__all__ = ["FOLDS", "DuplicateStart", "Fold", "LogFields", "fold", "note_event"]


def fold(state: State, event: Event) -> LogFields | None:
    """Fold one event into the state, and return the log line that it causes; what the run says of it is `note_event`'s.

    Raises:
        Unfit: the event cannot be folded. Folds look before they write; where `state.changed` names `state.at`
            nevertheless, the state is spoiled.
        DuplicateStart: a TRAINING_STARTED that was folded before; nothing was changed.
    """
    scope = state.scopes.get(event.group_id) or scope_of(state, event)
    return FOLDS.get(event.shape.type, other)(scope, event)
