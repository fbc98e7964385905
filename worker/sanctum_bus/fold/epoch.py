"""EPOCH_COMPLETED: of one environment, or (without `env_id`) of all of them together."""

from functools import lru_cache

from sanctum_bus.fold import needs
from sanctum_bus.fold.capture import Route, capture, capture_event, put_envelope, route, stored_names
from sanctum_bus.fold.env import DERIVED, active_env
from sanctum_bus.fold.run import open_epoch
from sanctum_bus.fold.scope import Scope
from sanctum_bus.fold.seed import Slot, check_report
from sanctum_bus.state import Fields, appended
from sanctum_bus.wire.decode import Event
from sanctum_bus.wire.shape import Shape
from sanctum_bus.wire.values import Value

#: Seeds in one of these stages have part in an environment's best accuracy.
_CONTRIBUTING = frozenset({"FOSSILIZED", "PROBATIONARY", "HOLDING", "BLENDING"})

#: Epochs without improvement after which an environment is stalled.
_STALLED_EPOCHS = 10

#: Fall against the epoch before, in percentage points, that makes an environment degraded.
_DEGRADED_POINTS = 1.0

#: Accuracy, in percent, above which an environment is excellent.
_EXCELLENT_PERCENT = 80.0

_ENV = route("EPOCH_COMPLETED", reserved=DERIVED)
_AGGREGATE = route("EPOCH_COMPLETED")


def epoch_completed(scope: Scope, event: Event) -> None:
    """An epoch of one environment, or the aggregate, which never touches an environment."""
    if event.data.get("env_id") is None:
        capture_event(scope.state, scope.prefix + "epoch", event, _AGGREGATE)
        return
    env_id, accuracy = needs.env_id(event), needs.number(event.data, "val_accuracy")
    inner_epoch = needs.number(event.data, "inner_epoch")
    if inner_epoch is None:
        inner_epoch = event.epoch
    seeds = needs.maps(event.data, "seeds")
    reports = [(slot, report, check_report(slot, report)) for slot, report in seeds.items()]
    stored_names(_ENV, event.shape)
    scope.has_room_for_env(env_id)
    if accuracy is not None:
        open_epoch(scope, env_id, inner_epoch)
    env = active_env(scope, env_id)
    _take_reports(scope, event, env_id, env, reports)
    # Read at once, when the epoch is closed; the rest is put in later.
    env["inner_epoch"] = inner_epoch
    if "val_accuracy" in event.data:
        env["val_accuracy"] = accuracy
    scope.state.leave(f"{scope.prefix}env:{env_id}", event.shape, _put_epoch, (event, inner_epoch))
    if accuracy is not None:
        _judge(scope, env, env_id, accuracy, inner_epoch)


def _put_epoch(env: Fields, given: tuple[Event, float | None]) -> None:
    event, inner_epoch = given
    capture(env, event.data, event.shape, _ENV)
    put_envelope(env, event)
    env.pop("seeds", None)
    env["inner_epoch"] = inner_epoch


def _take_reports(
    scope: Scope, event: Event, env_id: int, env: Fields, reports: list[tuple[str, Fields, Shape]]
) -> None:
    for slot, report, shape in reports:
        if slot.startswith("__") and slot.endswith("__"):
            capture(env, report, shape, _pseudo_route(slot.strip("_")))
        else:
            Slot(scope, env_id, slot, report.get("seed_id"), event.timestamp).report(event, report, shape)


@lru_cache(maxsize=64)
def _pseudo_route(slot: str) -> Route:
    return Route("aggregate." if slot == "aggregate" else f"aggregate.{slot}.")


def _judge(scope: Scope, env: Fields, env_id: int, accuracy: float, inner_epoch: float | None) -> None:
    history = env["accuracy_history"]
    before = history[-1] if history else None
    env["accuracy_history"] = appended(history, accuracy)
    best = env["best_accuracy"]
    # NaN is above nothing, and must not become the best: nothing would ever be above it.
    if accuracy == accuracy and (best is None or accuracy > best):  # noqa: PLR0124  # NaN is not itself
        env["best_accuracy"], env["best_accuracy_epoch"] = accuracy, inner_epoch
        env["best_accuracy_seeds"] = _contributing(scope, env_id)
        env["epochs_since_improvement"] = 0
    else:
        env["epochs_since_improvement"] += 1
    env["status"] = _status(env["epochs_since_improvement"], accuracy, before)


def _contributing(scope: Scope, env_id: int) -> dict[str, Value]:
    return {
        seed["slot_id"]: {"blueprint": seed.get("blueprint_id"), "stage": seed["stage"]}
        for seed in scope.seeds(env_id)
        if seed["stage"] in _CONTRIBUTING
    }


def _status(since_improvement: int, accuracy: float, before: float | None) -> str:
    if since_improvement > _STALLED_EPOCHS:
        return "stalled"
    if before is not None and accuracy < before - _DEGRADED_POINTS:
        return "degraded"
    return "excellent" if accuracy > _EXCELLENT_PERCENT else "healthy"
