"""Events that hypothesis generates: of known and unknown types, with the fields that handlers need and any others."""

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from sanctum_bus.errors import UnconfirmedGap
from sanctum_bus.fold.aggregate import Aggregate
from tests.support.fold_run import Entry, Fields, entry

TYPES = [
    "TRAINING_STARTED",
    "EPOCH_COMPLETED",
    "REWARD_COMPUTED",
    "PPO_UPDATE_COMPLETED",
    "BATCH_EPOCH_COMPLETED",
    "BATCH_COMPLETED",
    "SEED_GERMINATED",
    "SEED_STAGE_CHANGED",
    "SEED_GATE_EVALUATED",
    "SEED_FOSSILIZED",
    "SEED_CULLED",
    "SEED_PRUNED",
    "SEED_OTHER",
    "ANALYTICS_SNAPSHOT",
    "GOVERNOR_ROLLBACK",
    "CHECKPOINT_LOADED",
    "X_DETECTED",
    "OTHER",
]

# Names that handlers read, in any spelling, and derived names.
NAMES = [
    "env_id",
    "slot_id",
    "seed_id",
    "blueprint_id",
    "stage",
    "to",
    "from",
    "to_stage",
    "from_stage",
    "reason",
    "auto_culled",
    "auto_pruned",
    "improvement",
    "counterfactual",
    "epochs_total",
    "epochs_in_stage",
    "epochs_in_previous_stage",
    "accuracy_delta",
    "params_added",
    "grad_ratio",
    "seed_gradient_norm_ratio",
    "gate",
    "passed",
    "checks_failed",
    "message",
    "val_accuracy",
    "inner_epoch",
    "seeds",
    "total_reward",
    "action_name",
    "action_confidence",
    "ab_group",
    "alternatives",
    "entropy",
    "slot_entropy",
    "head_slot_entropy",
    "value_loss",
    "skipped",
    "early_stop_epoch",
    "episodes_completed",
    "env_accuracies",
    "avg_accuracy",
    "rolling_accuracy",
    "avg_reward",
    "batch_idx",
    "total_episodes",
    "start_episode",
    "n_envs",
    "max_epochs",
    "host_params",
    "policy_device",
    "env_devices",
    "rank",
    "kind",
    "status",
    "episode",
    "count",
    "last_at",
    "devices",
    "best_accuracy",
    "cohort",
    "updates",
    "undeclared",
]

GOOD_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "env_id": st.integers(0, 2),
    "slot_id": st.sampled_from(["a", "b"]),
    "seed_id": st.sampled_from(["s1", "s2"]),
    "n_envs": st.integers(0, 3),
    "rank": st.integers(0, 1),
    "stage": st.sampled_from(["TRAINING", "BLENDING", "CULLED", "FOSSILIZED"]),
    "to": st.sampled_from(["TRAINING", "BLENDING", "CULLED", "PRUNED", "NEW"]),
    "blueprint_id": st.sampled_from(["norm", "mlp"]),
    "action_name": st.sampled_from(["WAIT", "CULL_X", "PUNISHMENT"]),
    "passed": st.booleans(),
    "skipped": st.booleans(),
    "auto_culled": st.booleans(),
    "episodes_completed": st.integers(0, 9),
    "start_episode": st.integers(0, 9),
    "env_accuracies": st.lists(st.floats(0, 100), max_size=4),
    "env_devices": st.lists(st.sampled_from(["cuda:0", "cuda:1"]), max_size=3),
    "policy_device": st.just("cuda:0"),
    "ab_group": st.just("shaped"),
    "kind": st.sampled_from(["a", "b"]),
    "reason": st.sampled_from(["", "x"]),
}

numbers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(), st.integers(0, 30), st.floats(0, 100))
leaves = st.one_of(
    st.none(), st.booleans(), numbers, st.text(max_size=5), st.sampled_from(["TRAINING", "norm"])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)

#: Integers beyond 64 bits, which JSON can hold.
huge = st.sampled_from([2**64, -(2**63) - 1, 10**30, -(10**400), 10**400])


class Made(NamedTuple):
    """One generated event."""

    type: str
    data: Fields
    envelope: Fields
    as_json: bool

    def entry(self) -> Entry:
        """Return the stream entry."""
        if not self.as_json:
            return entry(self.type, self.data, **self.envelope)
        body = {"v": 1, **self.envelope, "data": self.data}
        return {b"type": self.type.encode(), b"json": json.dumps(body).encode()}


def _fitting(name: str) -> st.SearchStrategy[Any]:
    if name == "seeds":
        seed = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
        likely = st.fixed_dictionaries(
            {"stage": GOOD_VALUES["stage"]}, optional={"blueprint_id": st.just("norm")}
        )
        return st.dictionaries(st.sampled_from(["a", "b", "__aggregate__"]), likely | seed, max_size=3)
    return GOOD_VALUES.get(name, numbers)


@st.composite
def made_events(draw: st.DrawFn, *, wild: bool = True, oversize: bool = False) -> Made:
    """Generate an event. If `wild`, a field can have any value; if `oversize`, integers can exceed 64 bits."""
    event_type = draw(st.sampled_from(TYPES))
    names = set(draw(st.lists(st.sampled_from(NAMES), max_size=8)))
    if event_type.startswith(("EPOCH", "REWARD", "SEED")) and draw(st.integers(0, 5)):
        names |= {"env_id"}
    anything = values | huge if oversize else values
    data = {
        name: draw(anything if wild and not draw(st.integers(0, 6)) else _fitting(name))
        for name in sorted(names)
    }
    envelope: Fields = {
        "timestamp": draw(st.floats(0, 2e9)),
        "slot_id": draw(st.sampled_from(["a", "b", None])),
        "seed_id": draw(st.sampled_from(["s1", "s2", None])),
        "epoch": draw(st.none() | st.integers(0, 9)),
        "event_id": draw(st.sampled_from(["e1", "e2", "e3", None])),
        "message": draw(st.none() | st.text(max_size=9)),
        "group_id": draw(st.sampled_from([None, "default", "A"])),
    }
    return Made(event_type, data, envelope, oversize)


def apply_batch(aggregate: Aggregate, made: list[Made]) -> None:
    """Apply generated events without producers. Nothing must be raised."""
    for place, event in enumerate(made, 1):
        try:
            aggregate.apply(f"{place}-0", event.entry())
        except UnconfirmedGap as error:
            raise AssertionError("entries without a number have no gaps") from error
