"""BATCH_EPOCH_COMPLETED: the end of a batch, and of an episode of every environment."""

from sanctum_bus.events.decode import Event
from sanctum_bus.fold import require
from sanctum_bus.fold.capture import capture_event, field_map, stored_names
from sanctum_bus.fold.derived_fields import BEST_EPISODES, history_metrics, reserved
from sanctum_bus.fold.groups import Scope
from sanctum_bus.fold.handlers.run import close_epoch, edit_run
from sanctum_bus.fold.log_line import LogFields, line, signed
from sanctum_bus.fold.state import append_history
from sanctum_bus.protocol.entry import Fields, Value
from sanctum_bus.protocol.section_names import BATCH, BEST, ENV, RUN, env_section

#: Metrics that have a history in the section.
HISTORIES = history_metrics("batch")

_BATCH = field_map("BATCH_EPOCH_COMPLETED", reserved=reserved("batch"))


def batch_completed(scope: Scope, event: Event) -> LogFields:
    """Write the batch's fields, its throughput and the leaderboard, and end every environment's episode."""
    data = event.data
    accuracies = require.numbers(data, "env_accuracies")
    completed, offset = require.integer(data, "episodes_completed"), require.integer(data, "start_episode")
    values = {name: require.number(data, name) for name in HISTORIES}
    stored_names(_BATCH, event.shape)
    scope.reserve(RUN, BATCH, BEST)
    close_epoch(scope)
    batch = _put_batch(scope, event, values)
    for env_id, accuracy in enumerate(accuracies):
        if scope.get(env_section(env_id)) is not None:
            scope.edit(env_section(env_id))["batch_accuracy"] = accuracy
    run = edit_run(scope)
    run["batches_completed"] += 1
    _rank_episodes(scope, completed, accuracies)
    if completed is not None:
        run["episodes_completed"] = completed
    _put_throughput(run, batch, offset, event.timestamp)
    for name in scope.state.children(scope.prefix + ENV):
        scope.state.edit(name)["episode_over"] = True
    return line(scope, event, _message(data))


def batch_line(event: Event) -> Fields:
    """Return the line of the batches stream for a batch."""
    own = {"at": event.timestamp} | ({"group_id": event.group_id} if event.group_id else {})
    return own | {
        f"emitted.{name}" if name in own or name.startswith("emitted.") else name: value
        for name, value in event.data.items()
    }


def _put_batch(scope: Scope, event: Event, values: dict[str, float | None]) -> Fields:
    batch = capture_event(scope.state, scope.prefix + BATCH, event, _BATCH)
    for name, value in values.items():
        batch.setdefault(f"{name}_history", [])
        if value is not None:
            batch[f"{name}_history"] = append_history(batch[f"{name}_history"], value)
    return batch


def _put_throughput(run: Fields, batch: Fields, offset: int | None, at: float) -> None:
    """Write the rates since this start, by the events' own clock. Without elapsed time they are null."""
    started, epochs, completed = run.get("started_at"), run.get("max_epochs"), run.get("episodes_completed")
    elapsed = at - started if started is not None else 0.0
    before = run.get("start_episode")
    before = before if require.is_integer(before) else offset or 0
    batch["epochs_per_second"] = batch["batches_per_hour"] = None
    if elapsed <= 0:
        return
    batch["batches_per_hour"] = run["batches_completed"] * 3600 / elapsed
    if require.is_integer(epochs) and completed is not None:
        batch["epochs_per_second"] = (completed - before) * epochs / elapsed


def _rank_episodes(scope: Scope, completed: int | None, accuracies: list[float | None]) -> None:
    """Add this batch's episodes to the leaderboard: by peak accuracy, ties to the earlier episode."""
    run = scope.run
    records = [
        _record(env, run, completed, accuracies)
        for env in sorted(scope.envs(), key=lambda env: env["env_id"])
        if not env["episode_over"] and env["best_accuracy"] is not None
    ]
    if not records:
        return
    old = scope.get(BEST) or {}
    known = [old[name] for name in sorted(old, key=int)]
    fresh = {_identity(record) for record in records}
    board = [record for record in known if _identity(record) not in fresh] + records
    board.sort(key=lambda record: -record["peak_accuracy"])
    new = {str(rank): record for rank, record in enumerate(board[:BEST_EPISODES], 1)}
    # Compared as texts: two NaN are equal only if they are one object, and a restored snapshot has new ones.
    if repr(new) != repr(old):
        scope.replace(BEST, new)


def _identity(record: Fields) -> tuple[Value, ...]:
    return record["start"], record["episode"], record["env_id"]


def _record(env: Fields, run: Fields, completed: int | None, accuracies: list[float | None]) -> Fields:
    env_id = env["env_id"]
    ran = env_id < len(accuracies)
    host, grown = run.get("host_params"), env["fossilized_params"]
    return {
        "start": run.get("starts"),
        "env_id": env_id,
        "episode": completed - len(accuracies) + env_id if ran and completed is not None else env["episode"],
        "peak_accuracy": env["best_accuracy"],
        "peak_epoch": env["best_accuracy_epoch"],
        "final_accuracy": accuracies[env_id] if ran else env.get("val_accuracy"),
        "growth_ratio": (host + grown) / host if require.is_number(host) and host else None,
        "seeds": env["best_accuracy_seeds"],
    }


def _message(data: Fields) -> str:
    parts = [
        f"{word} {signed(data[name], style)}"
        for word, name, style in (
            ("accuracy", "avg_accuracy", ".1f"),
            ("rolling", "rolling_accuracy", ".1f"),
            ("reward", "avg_reward", "+.2f"),
        )
        if data.get(name) is not None and data[name] == data[name]
    ]
    index, completed, total = (
        data.get("batch_idx"),
        data.get("episodes_completed"),
        data.get("total_episodes"),
    )
    head = "batch" if index is None else f"batch {index}"
    episode = "" if completed is None else f" (episode {completed}{'' if total is None else f'/{total}'})"
    return head + (": " + ", ".join(parts) if parts else "") + episode
