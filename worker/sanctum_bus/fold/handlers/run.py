"""TRAINING_STARTED, and the progress of the run in its section."""

import math

from sanctum_bus.errors import DuplicateStart, InvalidEntry
from sanctum_bus.events.decode import Event
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import capture_event, field_map, put_envelope, stored_names
from sanctum_bus.fold.derived_fields import new_record, reserved
from sanctum_bus.fold.groups import Scope, scope_of
from sanctum_bus.fold.handlers.env import active_env, has_reported
from sanctum_bus.fold.log_line import LogFields, line, own_message
from sanctum_bus.fold.state import State, append_history
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import BATCH, ENV, EPOCH, POLICY, RUN, env_section, seed_family

_STARTED = field_map("TRAINING_STARTED", reserved=reserved("run"))

#: Sections that a new start drops, besides environments and seeds.
_DROPPED_BY_START = (POLICY, BATCH, EPOCH)


def training_started(scope: Scope, event: Event) -> LogFields | None:
    """Start the training again. An event of another rank, or one that is sent again, only adds fields."""
    data = event.data
    n_envs, rank = require.integer(data, "n_envs") or 0, require.integer(data, "rank") or 0
    devices = _devices(data)
    stored_names(_STARTED, event.shape)
    if n_envs > scope.state.max_envs:
        raise InvalidEntry(f"n_envs {n_envs:,} is over the limit of {scope.state.max_envs:,}")
    scope.reserve(RUN, *map(env_section, range(n_envs)))
    if rank > 0:
        return _add_rank(scope, event, rank)
    if event.again:
        return _fill(scope, event, n_envs, devices)
    known = scope.run.get("event.id")
    # Lists and maps that hold a NaN equal each other only if they are one object, and a restored snapshot has new ones.
    if known is not None and not isinstance(known, list | dict) and known == event.event_id:
        raise DuplicateStart
    _begin(scope, event, devices)
    for env_id in range(n_envs):
        active_env(scope, env_id)
    return line(scope, event, own_message(event))


def _begin(scope: Scope, event: Event, devices: list[Value]) -> None:
    old = scope.run
    starts = old.get("starts") or 0
    _drop_start(scope)
    scope.replace(RUN, _new_run(scope) | {"starts": starts + 1})
    run = capture_event(scope.state, scope.prefix + RUN, event, _STARTED)
    run["started_at"] = event.timestamp
    run["devices"] = devices


def _new_run(scope: Scope) -> Fields:
    old = scope.run
    kept = {name: value for name, value in old.items() if name == "groups" or name.startswith("labels.")}
    return kept | new_record("run") | {"starts": old.get("starts") or 0}


def _drop_start(scope: Scope) -> None:
    state, prefix = scope.state, scope.prefix
    envs = state.children(prefix + ENV)
    for name in envs:
        state.drop(state.children(prefix + seed_family(name.rpartition(":")[2])))
    state.drop(envs)
    state.drop(prefix + name for name in _DROPPED_BY_START)


def _fill(scope: Scope, event: Event, n_envs: int, devices: list[Value]) -> LogFields:
    """Add the fields that an emptied server lost. Nothing is reset, so a false alarm has no effect."""
    run = edit_run(scope)
    for name, value in zip(stored_names(_STARTED, event.shape), event.data.values(), strict=True):
        run.setdefault(name, value)
    if run.get("started_at") is None:
        run["starts"] = max(run["starts"], 1)
        run["started_at"], run["devices"] = event.timestamp, devices
        put_envelope(run, event)
    for env_id in range(n_envs):
        if scope.get(env_section(env_id)) is None:
            active_env(scope, env_id)
    return line(scope, event, own_message(event))


def _add_rank(scope: Scope, event: Event, rank: int) -> LogFields:
    run = edit_run(scope)
    for name, value in event.data.items():
        run[f"rank.{rank}.{name}"] = value
    return line(scope, event, own_message(event))


def _devices(data: Fields) -> list[Value]:
    policy = require.text(data, "policy_device")
    others = data.get("env_devices")
    listed = others if isinstance(others, list) else []
    given: list[Value] = ([policy] if policy else []) + listed
    found: dict[object, Value] = {}
    for device in given:
        found.setdefault(repr(device) if isinstance(device, list | dict) else device, device)
    return list(found.values())


def edit_run(scope: Scope) -> Fields:
    """Return the run's section for writing. Without a start it gets the defaults of a new run."""
    if "starts" not in scope.run:
        scope.replace(RUN, scope.run | _new_run(scope))
    return scope.edit(RUN)


def note_event(state: State, event: Event) -> None:
    """Write the time of the last event, the groups and the labels into the run's section.

    For consecutive events without group and labels, a call for the last one has the same result as one for each.
    """
    run = state.edit_live(RUN)
    if "starts" not in run:
        run = edit_run(Scope(state, ""))
    run["last_event_at"] = event.timestamp
    run["status"] = "running"
    group = scope_of(state, event).prefix[:-1]
    if group and group not in (run.get("groups") or []):
        run["groups"] = [*(run.get("groups") or []), group]
    if event.labels:
        for name, value in event.labels.items():
            run[f"labels.{name}"] = value


def open_epoch(scope: Scope, env_id: int, inner_epoch: float | None) -> None:
    """Open an inner epoch of the run. The first value of another epoch closes the mean of the open one.

    Ranks run independently: a late value of an older epoch opens nothing, unless the environment itself went back.
    The caller writes the value into the environment afterwards, because this function compares with the one before.
    """
    opened = scope.run.get("inner_epoch")
    if inner_epoch is None or inner_epoch == opened:
        return
    if opened is not None and inner_epoch < opened:
        before = (scope.get(env_section(env_id)) or {}).get("inner_epoch")
        if before is None or before < inner_epoch:
            return
    close_epoch(scope)
    edit_run(scope)["inner_epoch"] = inner_epoch


def close_epoch(scope: Scope) -> None:
    """Close the mean accuracy of the open inner epoch, over the environments that reported it in this episode."""
    opened = scope.run.get("inner_epoch")
    values = [
        env["val_accuracy"]
        for env in scope.envs()
        if not env["episode_over"] and has_reported(env) and env["inner_epoch"] == opened
    ]
    values = [value for value in values if value is not None]
    if opened is None or not values:
        return
    mean, run = _mean(values), edit_run(scope)
    run["mean_accuracy"], run["mean_accuracy_epoch"] = mean, opened
    run["mean_accuracy_history"] = append_history(run["mean_accuracy_history"], mean)


def _mean(values: list[float]) -> float:
    # fsum is exact, so the order of the environments does not change the last bit.
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):
        return math.nan
