"""EPOCH_COMPLETED: of one environment, or (without `env_id`) of all environments together."""

from functools import lru_cache
from typing import TypeAlias

from sanctum_bus.events.decode import Event
from sanctum_bus.events.stages import CONTRIBUTING
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import FieldMap, capture, capture_event, capture_last, field_map, stored_names
from sanctum_bus.fold.derived_fields import reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.handlers.env import active_env
from sanctum_bus.fold.handlers.run import open_epoch
from sanctum_bus.fold.handlers.slot import Report, apply_report, validate_report
from sanctum_bus.fold.state import append_history
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import EPOCH, RUN, env_section

#: Epochs without improvement after which an environment is stalled.
_STALLED_EPOCHS = 10

#: Loss against the epoch before, in percentage points, that makes an environment degraded.
_DEGRADED_POINTS = 1.0

#: Accuracy, in percent, above which an environment is excellent.
_EXCELLENT_PERCENT = 80.0

_ENV = field_map("EPOCH_COMPLETED", reserved=reserved("env"))
_AGGREGATE = field_map("EPOCH_COMPLETED")


#: A valid epoch of one environment: its section, `env_id`, accuracy in percent, inner epoch, and reports of the slots.
_EnvEpoch: TypeAlias = tuple[str, int, float | None, float | None, list[Report]]


def epoch_completed(scope: Scope, event: Event) -> None:
    """Write an epoch of one environment, or the aggregate. The aggregate never changes an environment."""
    if event.data.get("env_id") is None:
        capture_event(scope.state, scope.prefix + EPOCH, event, _AGGREGATE)
    else:
        _apply(scope, event, _check(scope, event))


def _check(scope: Scope, event: Event) -> _EnvEpoch:
    """Find everything that can be wrong with the event before anything is written.

    Raises:
        InvalidEntry: something is wrong.
    """
    data, env_id = event.data, require.env_id(event)
    accuracy, inner_epoch = require.number(data, "val_accuracy"), require.number(data, "inner_epoch")
    reports = [
        validate_report(env_id, slot, report) for slot, report in require.map_of_maps(data, "seeds").items()
    ]
    stored_names(_ENV, event.shape)
    if not scope.state.can_add(2 + len(reports)):
        slots = [section for _, section, _, _ in reports if section]
        scope.reserve(RUN, env_section(env_id), *slots)
    name = scope.prefix + env_section(env_id)
    if scope.state.live(name) is None:
        scope.reserve_env(env_id)
    return name, env_id, accuracy, event.epoch if inner_epoch is None else inner_epoch, reports


def _apply(scope: Scope, event: Event, epoch: _EnvEpoch) -> None:
    name, env_id, accuracy, inner_epoch, reports = epoch
    if accuracy is not None:
        open_epoch(scope, env_id, inner_epoch)
    env = active_env(scope, env_id)
    for report in reports:
        slot, section, fields, shape = report
        if section:
            apply_report(scope, event, env_id, report)
        else:
            capture(env, fields, shape, _aggregate_map(slot.strip("_")))
    # These two are live, because closing the epoch reads them. The other fields are deferred.
    env["inner_epoch"] = inner_epoch
    if "val_accuracy" in event.data:
        env["val_accuracy"] = accuracy
    if accuracy is not None:
        _update_best(scope, env, env_id, accuracy, inner_epoch)
    scope.state.defer(name, _put_epochs, event.shape, event, accuracy)


def _put_epochs(env: Fields, events: list[Event], accuracies: list[float | None]) -> None:
    inner_epoch = env["inner_epoch"]
    capture_last(env, events, _ENV)
    env.pop("seeds", None)
    env["inner_epoch"] = inner_epoch
    given = [accuracy for accuracy in accuracies if accuracy is not None]
    if given:
        before, *_ = [*env["accuracy_history"], *given][-2:-1] or [None]
        env["accuracy_history"] = append_history(env["accuracy_history"], *given)
        env["status"] = _status(env["epochs_since_improvement"], given[-1], before)


@lru_cache(maxsize=64)
def _aggregate_map(slot: str) -> FieldMap:
    return FieldMap("aggregate." if slot == "aggregate" else f"aggregate.{slot}.")


def _update_best(scope: Scope, env: Fields, env_id: int, accuracy: float, inner_epoch: float | None) -> None:
    best = env["best_accuracy"]
    # A NaN must not become the best: no accuracy is above it.
    if accuracy == accuracy and (best is None or accuracy > best):  # noqa: PLR0124  # NaN is not itself
        env["best_accuracy"], env["best_accuracy_epoch"] = accuracy, inner_epoch
        env["best_accuracy_seeds"] = _contributing(scope, env_id)
        env["epochs_since_improvement"] = 0
    else:
        env["epochs_since_improvement"] += 1


def _contributing(scope: Scope, env_id: int) -> dict[str, Value]:
    return {
        seed["slot_id"]: {"blueprint": seed.get("blueprint_id"), "stage": seed["stage"]}
        for seed in scope.seeds(env_id)
        if seed["stage"] in CONTRIBUTING
    }


def _status(since_improvement: int, accuracy: float, before: float | None) -> str:
    if since_improvement > _STALLED_EPOCHS:
        return "stalled"
    if before is not None and accuracy < before - _DEGRADED_POINTS:
        return "degraded"
    return "excellent" if accuracy > _EXCELLENT_PERCENT else "healthy"
