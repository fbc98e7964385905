"""The fields that the fold derives, one row each: the single place that names them.

Reserved names, defaults, what an episode resets, and the units and meanings that views and documentation print all
follow from `TABLE`. To add a derived field, add its row here and compute it in a handler. Captured fields are declared
in `events/catalog.py`.

The module imports no decoder, so that views can use it without the worker's dependencies.
"""

from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

from sanctum_bus.protocol.entry import HISTORY, Fields, Value

#: When a field returns to its default: never during a run, when training starts again, with the next episode of the
#: environment, with the next seed in the slot, or with the next event of the section. A new start resets everything
#: but `never`. A new episode resets `seed` too.
Reset: TypeAlias = Literal["never", "start", "episode", "seed", "event"]

#: The default of a field that its record lacks until a handler derives it.
ABSENT: Final = object()

#: The section kind of fields that every section can have.
ANY_SECTION: Final = "*"

#: Episodes on the leaderboard.
BEST_EPISODES: Final = 10

#: The end of the names of histories.
HISTORY_SUFFIX: Final = "_history"


class DerivedField(NamedTuple):
    """One derived field.

    Args:
        section: kind of section: the section's name up to the first colon, without its group.
        name: name of the field. A prefix that ends in a dot stands for every name that begins with it.
        unit: unit or kind of value, in the notation of the catalog.
        meaning: one line.
        reset: when the field returns to its default.
        default: value in a new record, or `ABSENT`.
        live: a fold can read and write the field while other writes to its section are deferred.
    """

    section: str
    name: str
    unit: str
    meaning: str
    reset: Reset
    default: Value = ABSENT
    live: bool = False

    @property
    def is_prefix(self) -> bool:
        """Whether the row stands for every name that begins with `name`."""
        return self.name.endswith(".")


def _row(
    name: str, unit: str, meaning: str, reset: Reset, default: Value = ABSENT, *, live: bool = False
) -> DerivedField:
    return DerivedField("", name, unit, meaning, reset, default, live)


def _history(metric: str, unit: str, reset: Reset = "start") -> DerivedField:
    meaning = f"the last {HISTORY} values of {metric}, oldest first"
    return _row(metric + HISTORY_SUFFIX, unit, meaning, reset, [])


def _section(kind: str, *rows: DerivedField) -> tuple[DerivedField, ...]:
    return tuple(row._replace(section=kind) for row in rows)


_TIME, _EPOCH, _ACCURACY, _COUNTS = "Unix seconds", "epoch 1..max_epochs", "percent 0..100", "map name->count"

_RUN = _section(
    "run",
    _row("status", "enum", "running; ended when every known producer has closed", "start", "running"),
    _row("starts", "count", "TRAINING_STARTED events that began the training", "never", 0),
    _row("started_at", _TIME, "time of the last start", "start", None),
    _row("last_event_at", _TIME, "time of the last event", "start"),
    _row("devices", "torch devices", "policy device and environment devices, each once", "start", []),
    _row("inner_epoch", _EPOCH, "epoch that is open inside the episode", "start", None),
    _row("episodes_completed", "episodes", "episodes completed at the last batch end", "start", None),
    _row("batches_completed", "batches", "batches completed since the start", "start", 0),
    _row("mean_accuracy", "percent", "mean val_accuracy of the last closed epoch", "start", None),
    _row("mean_accuracy_epoch", _EPOCH, "epoch of mean_accuracy", "start", None),
    _history("mean_accuracy", "percent"),
    _row("groups", "names", "A/B groups that have sections, in order of appearance", "never"),
    _row("labels.", "value", "label of the run, as its publisher sent it", "never"),
    _row("rank.", "value", "rank.<rank>.<field>: field of another rank's TRAINING_STARTED", "start"),
)

_POLICY = _section(
    "policy",
    _row("updates", "updates", "policy updates since the start", "start", 0),
    _row("early_stops", "updates", "updates that stopped early because of the KL limit", "start", 0),
    _row("rollbacks", "updates", "updates that were rolled back or skipped", "start", 0),
    _history("entropy", "0..4"),
    _history("kl_divergence", "nats"),
    _history("clip_fraction", "fraction 0..1"),
    _history("grad_norm", "L2 norm"),
    _history("explained_variance", "<= 1"),
    _history("policy_loss", "loss"),
    _history("value_loss", "loss"),
    _history("update_time_ms", "ms"),
    _row("rollback.", "value", "field of the last update that was rolled back or skipped", "start"),
)

_BATCH = _section(
    "batch",
    _history("avg_accuracy", "percent"),
    _history("rolling_accuracy", "percent"),
    _history("avg_reward", "reward"),
    _row("epochs_per_second", "epochs/s", "host epochs per second since the start", "start", None),
    _row("batches_per_hour", "batches/h", "batches per hour since the start", "start", None),
)

_STATUS = "initializing, healthy, excellent, degraded (over 1 point lost), stalled (10 epochs without a best)"
_SEEDS = "map slot->{blueprint,stage}"

_ENV = _section(
    "env",
    _row("episode_over", "flag", "the batch of this episode has ended", "episode", False, live=True),
    _row("status", "enum", _STATUS, "episode", "initializing"),
    _history("accuracy", _ACCURACY, "episode"),
    _row("best_accuracy", _ACCURACY, "best val_accuracy", "episode", None, live=True),
    _row("best_accuracy_epoch", _EPOCH, "epoch of best_accuracy", "episode", None, live=True),
    _row("best_accuracy_seeds", _SEEDS, "contributors to best_accuracy", "episode", {}, live=True),
    _row("epochs_since_improvement", "epochs", "epochs since best_accuracy", "episode", 0, live=True),
    _history("reward", "reward", "episode"),
    _row("best_reward", "reward", "best total reward of one step", "episode", None),
    _row("best_reward_epoch", _EPOCH, "epoch of best_reward", "episode", None),
    _history("action", "names", "episode"),
    _row("action_counts", _COUNTS, "steps by action family", "episode", {}),
    _row("total_actions", "count", "steps with an action", "episode", 0),
    _row("penalties", _COUNTS, "penalties by name", "episode", {}),
    _row("germinated", "seeds", "seeds germinated", "episode", 0, live=True),
    _row("fossilized", "seeds", "seeds fossilized", "episode", 0, live=True),
    _row("culled", "seeds", "seeds culled", "episode", 0, live=True),
    _row("fossilized_params", "parameters", "parameters of fossilized seeds", "episode", 0, live=True),
    _row("episode", "0-based index", "episode of the environment", "episode", live=True),
    _row("cohort", "enum", "reward variant of the last step", "start"),
    _row("batch_accuracy", "percent", "final accuracy in the last completed batch", "start"),
    _row("reward.", "value", "field of the last step", "episode"),
    _row("decision.", "value", "field of the last step that has an action confidence", "episode"),
    _row("penalty.", "value", "field of the last penalty", "episode"),
    _row("aggregate.", "value", "field that an epoch reports for all slots together", "start", live=True),
)

_SEED = _section(
    "seed",
    _row("stage", "enum", "stage, in the emitter's word", "seed", None, live=True),
    _row("stage_entered_at", _TIME, "time of the last change of stage", "seed", live=True),
    _row("germinated_at", _TIME, "time of SEED_GERMINATED", "seed", live=True),
    _row("ended_at", _TIME, "time of the seed's end; absent while the seed lives", "seed", live=True),
    _row("gates_passed", "count", "gates passed", "seed", 0),
    _row("gates_failed", "count", "gates failed", "seed", 0),
    _row("gate.", "value", "field of the last gate evaluation", "seed"),
)

_POINTS = "percentage points"

_BLUEPRINT = _section(
    "blueprint",
    _row("germinated", "seeds", "seeds germinated", "never", 0),
    _row("fossilized", "seeds", "seeds fossilized", "never", 0),
    _row("culled", "seeds", "seeds culled", "never", 0),
    _row("auto_culled", "seeds", "seeds culled automatically", "never", 0),
    _row("cull_reasons", "map text->count", "culled seeds by reason", "never", {}),
    _row("improvement_sum", _POINTS, "sum of the improvements of ended seeds", "never", 0.0),
    _row("improvement_best", _POINTS, "best improvement of an ended seed", "never", None),
    _row("improvement_worst", _POINTS, "worst improvement of an ended seed", "never", None),
    _row("epochs_total_sum", "epochs", "sum of the ages of ended seeds", "never", 0),
    _row("fossilized_params", "parameters", "parameters of fossilized seeds", "never", 0),
)

_BEST = _section(
    "best",
    *(
        _row(str(rank), "record", f"episode of rank {rank} by peak accuracy, ties to the earlier", "never")
        for rank in range(1, BEST_EPISODES + 1)
    ),
)

_EVENT = _section(
    "event",
    _row("count", "events", "events of this section", "never"),
    _row("last_at", _TIME, "time of the last event", "event"),
)

_LAST = "of the event captured last"

_ANY = _section(
    ANY_SECTION,
    _row("event.type", "name", f"type {_LAST}, as emitted", "event"),
    _row("event.timestamp", _TIME, f"time {_LAST}", "event"),
    _row("event.id", "event id", f"event_id {_LAST}", "event"),
    _row("event.epoch", "epoch", f"epoch {_LAST}", "event"),
    _row("event.seed_id", "id", f"seed_id {_LAST}", "event"),
    _row("event.slot_id", "slot id", f"slot_id {_LAST}", "event"),
    _row("event.message", "text", f"message {_LAST}", "event"),
    _row("event.severity", "enum", f"severity {_LAST}", "event"),
    _row("event.group_id", "name", f"A/B group {_LAST}", "event"),
    _row("event.extra", "names", "undeclared envelope keys, kept as event.<key>", "event"),
    _row("event.", "value", f"undeclared envelope key {_LAST}", "event"),
    _row("emitted.", "value", "emitted field whose name is taken by a derived field", "event"),
)

#: Every derived field. The order inside a section is the order of the defaults in a new record.
TABLE: Final[tuple[DerivedField, ...]] = (
    *_RUN,
    *_POLICY,
    *_BATCH,
    *_ENV,
    *_SEED,
    *_BLUEPRINT,
    *_BEST,
    *_EVENT,
    *_ANY,
)

#: Captured fields that folds read and write while other writes to their section are deferred.
_LIVE_CAPTURED = {
    "env": ("env_id", "inner_epoch", "val_accuracy"),
    "seed": ("slot_id", "seed_id", "blueprint_id", "emitted.slot_id"),
}


def lookup(section_kind: str, field: str) -> DerivedField | None:
    """Return the row of a field, or None if the fold does not derive it.

    Args:
        section_kind: `env` for a section `env:3` or `A/env:3`.
        field: the field's name in the section.
    """
    prefix, dot, _ = field.partition(".")
    rows = _rows_by_name()
    for section in (section_kind, ANY_SECTION):
        row = rows.get((section, field)) or rows.get((section, prefix + dot))
        if row is not None:
            return row
    return None


@cache
def reserved(section_kind: str) -> frozenset[str]:
    """Return the names and prefixes that emitted fields cannot take in sections of a kind."""
    return frozenset(row.name for row in TABLE if row.section == section_kind)


@cache
def live_names(section_kind: str) -> frozenset[str]:
    """Return the names and prefixes that folds use while other writes to a section of this kind are deferred."""
    derived = (row.name for row in TABLE if row.section == section_kind and row.live)
    return frozenset([*derived, *_LIVE_CAPTURED.get(section_kind, ())])


def history_metrics(section_kind: str) -> tuple[str, ...]:
    """Return the metrics of which sections of a kind have a history, in the table's order."""
    names = (row.name for row in TABLE if row.section == section_kind)
    return tuple(name.removesuffix(HISTORY_SUFFIX) for name in names if name.endswith(HISTORY_SUFFIX))


def episode_prefixes() -> tuple[str, ...]:
    """Return the prefixes of an environment's fields that the next episode removes."""
    return tuple(row.name for row in _ENV if row.is_prefix and row.reset == "episode")


def new_record(section_kind: str) -> Fields:
    """Return the defaults of a new record, in the table's order. The caller can keep and change them."""
    defaults, mutable = _defaults(section_kind)
    record = defaults.copy()
    for name in mutable:
        record[name] = record[name].copy()
    return record


@cache
def _defaults(section_kind: str) -> tuple[Fields, tuple[str, ...]]:
    """Return the defaults of a kind, and which of them are lists or maps."""
    rows = [row for row in TABLE if row.section == section_kind and row.default is not ABSENT]
    mutable = tuple(row.name for row in rows if isinstance(row.default, list | dict))
    return {row.name: row.default for row in rows}, mutable


@cache
def _rows_by_name() -> dict[tuple[str, str], DerivedField]:
    return {(row.section, row.name): row for row in TABLE}
