"""Pairs of a record of the old aggregator's states and ours, if both have the same meaning.

Each function yields one kind of record, and documents when it is not compared. `compare.py` lists the compared fields,
and `differences.py` the reasons for the others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.support.recordings import Raw, timestamp_of

Fields = dict[str, Any]

PENALTIES = {"PUNISHMENT", "AUTO_CULL_PENALTY"}

_CULLED = {"CULLED", "PRUNED"}


#: Fields of the best runs that are compared, by dialect. `dec19` has no epoch; the seeds of the older ones are one epoch
#: old and of all stages; today's growth counts the growing seeds of the best epoch.
_RANKED = {
    "dec19": ("env_id", "peak_accuracy", "final_accuracy"),
    "plan": ("env_id", "peak_accuracy", "final_accuracy", "peak_epoch", "growth_ratio"),
    "current": ("env_id", "peak_accuracy", "final_accuracy", "peak_epoch", "seeds"),
}


@dataclass(frozen=True)
class View:
    """An old state and our sections after the same events.

    Args:
        events: number of events.
    """

    dialect: str
    events: int
    old: Raw
    sections: dict[str, Fields]

    @property
    def run(self) -> Fields:
        """Return the run's section."""
        return self.sections["run"]

    def env(self, env_id: str) -> Fields:
        """Return an environment's section as the old aggregator has it, which resets it at the batch end; ours resets later."""
        env = self.sections[f"env:{env_id}"]
        return {} if env["episode_over"] else env

    def seeds(self, env_id: str) -> dict[str, Fields]:
        """Return the seeds of an environment's episode, by slot."""
        prefix, sections = f"seed:{env_id}:", self.sections if self.env(env_id) else {}
        return {name.removeprefix(prefix): sections[name] for name in sections if name.startswith(prefix)}

    def blueprints(self) -> dict[str, Fields]:
        """Return the sections of the blueprints."""
        kind = "blueprint:"
        return {
            name.removeprefix(kind): self.sections[name] for name in self.sections if name.startswith(kind)
        }


Records = Callable[[View], Iterator[tuple[Raw, Fields]]]


class Row(NamedTuple):
    """Describe one compared field.

    Args:
        ours: the name in our record, or a function of the record.
        unset: value of the old state if we have none.
        was: a function that converts the old value first.
    """

    ours: str | Callable[[Fields], Any]
    unset: Any = None
    was: Callable[[Any], Any] = lambda value: value

    def value(self, record: Fields) -> Any:
        """Return our value, or null if there is none."""
        return self.ours(record) if callable(self.ours) else record.get(self.ours)

    def differs(self, old: Any, record: Fields) -> str | None:
        """Return a description of the difference, or None."""
        value, old = self.value(record), self.was(old)
        # A value that was not measured is null in ours, and null or the default in the old state, depending on the field.
        same = repr(old) in (repr(None), repr(self.unset)) if value is None else repr(old) == repr(value)
        return None if same else f"was {old!r:.80}, is {value!r:.80}"


class Group(NamedTuple):
    """The compared fields of one kind of record.

    Args:
        path: the record's path in an old state, `*` for an environment or slot; empty for the state itself.
        records: yields each old record with ours, if both have the same meaning.
    """

    path: str
    records: Records
    rows: dict[str, Row]

    def paths(self) -> list[str]:
        """Return the paths of the compared fields."""
        return [f"{self.path}.{name}".lstrip(".") for name in self.rows]


def run(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the run: the old state itself."""
    batch = {f"batch.{name}": value for name, value in view.sections.get("batch", {}).items()}
    yield view.old, view.run | batch | {"events": view.events, "blueprints": view.blueprints()}


def run_config(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the run's configuration."""
    yield view.old["run_config"], view.run


def leaderboard(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the best runs. `dec19` ranks a later episode only if it is better than all earlier ones of its environment."""
    if view.dialect != "dec19" or view.run["batches_completed"] <= 1:
        old = [
            run | {"peak_epoch": run.get("epoch"), "seeds": contributing(run["seeds"])}
            for run in view.old["best_runs"]
        ]
        ours = view.sections.get("best", {}).values()
        yield {"best_runs": _board(view, old)}, {"best_runs": _board(view, ours)}


def _board(view: View, records: Iterable[Fields]) -> list[Fields]:
    compared = _RANKED[view.dialect]
    return sorted(({name: record[name] for name in compared} for record in records), key=repr)


def contributing(seeds: Fields) -> Fields:
    """Return the seeds that contributed to a peak, in our layout."""
    return {
        slot: {"blueprint": one["blueprint_id"], "stage": one["stage"]} for slot, one in sorted(seeds.items())
    }


def totals(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the sums over all environments, which only the `current` aggregator computes."""
    if view.dialect == "current":
        envs = {env_id: view.env(env_id) for env_id in view.old["envs"]}
        stages = Counter(seed["stage"] for env_id in envs for seed in view.seeds(env_id).values())
        accuracies = [env["val_accuracy"] for env in envs.values() if env.get("accuracy_history")]
        slots = len(envs) * len(view.run["slot_ids"])
        yield view.old, {"stages": stages, "accuracies": accuracies, "slots": slots}


def lifecycle(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the totals of all seeds, which only the `current` aggregator counts."""
    if view.dialect == "current":
        yield view.old["seed_lifecycle"], {"blueprints": view.blueprints()}


def lasting_envs(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for fields that outlive an episode. In `dec19`, environment 0 has the aggregate epoch."""
    for env_id, old in view.old["envs"].items():
        if not (view.dialect == "dec19" and env_id == "0" and not view.env(env_id)):
            yield old, view.sections[f"env:{env_id}"] | {f"run.{k}": v for k, v in view.run.items()}


def episodes(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for fields that every old aggregator resets at the batch end."""
    for env_id, old in view.old["envs"].items():
        yield old, view.env(env_id) | {"seeds": view.seeds(env_id)}


def grown(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for the growth of the host."""
    for old, env in episodes(view):
        yield old["_derived"], env | {"host_params": view.run["host_params"]}


def envs(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for fields of an episode. `dec19` does not reset them, so only its first episode counts."""
    if view.dialect != "dec19" or not view.run["batches_completed"]:
        yield from episodes(view)


def todays_envs(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for the seeds of the best epoch. The older aggregators have those of the epoch before, in any stage."""
    if view.dialect == "current":
        yield from envs(view)


def judged_envs(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for the status. The `current` aggregator changes it only after three epochs in a row."""
    if view.dialect != "current":
        yield from envs(view)


def clocked_envs(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for the epoch. A penalty sets it to 0 in the old aggregator."""
    for old, env in envs(view):
        if old["reward_components"]["last_action"] not in PENALTIES:
            yield old, env


def steps(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for fields of REWARD_COMPUTED, which `current` does not emit; without penalties."""
    if view.dialect != "current":
        for old, env in envs(view):
            actions, rewards = old["action_history"], old["reward_history"]
            kept = [
                reward for reward, action in zip(rewards, actions, strict=True) if action not in PENALTIES
            ]
            steps = old["total_actions"] - sum(old["action_counts"].get(name, 0) for name in PENALTIES)
            yield old | {"reward_history": kept, "total_actions": steps}, env


def unpunished(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for values computed from all rewards."""
    for old, env in steps(view):
        if not PENALTIES & set(old["action_history"]):
            yield old["_derived"], env


def rewards(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield environments, for the parts of the last reward. A penalty clears them in the old aggregator."""
    for old, env in steps(view):
        if old["reward_components"]["last_action"] not in PENALTIES:
            yield old["reward_components"], env


def seeds(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield all seeds of the episode."""
    for env_id, old in view.old["envs"].items():
        ours = view.seeds(env_id)
        for slot, seed in old["seeds"].items():
            # The older aggregators empty a slot when its seed is culled; the `current` one when the emitter does.
            emptied = (
                view.dialect != "current" and "ended_at" in ours[slot] and ours[slot]["stage"] in _CULLED
            )
            yield seed, ours[slot] | ({"stage": "DORMANT"} if emptied else {})


def kept_seeds(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield growing and fossilized seeds. A cull clears the seed in the old aggregator."""
    for old, seed in seeds(view):
        if "ended_at" not in seed or seed["stage"] == "FOSSILIZED":
            yield old, seed


def reported_seeds(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield seeds that the last epoch reported. In other events, some of these names have another meaning."""
    for old, seed in seeds(view):
        if seed["event.type"] == "EPOCH_COMPLETED":
            yield old, seed


def ended_seeds(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield seeds that have just ended. In the old aggregator, a seed inherits these fields from the slot's previous one."""
    for old, seed in seeds(view):
        if seed["event.type"] in ("SEED_CULLED", "SEED_PRUNED", "SEED_FOSSILIZED"):
            yield old, seed


def policy(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the policy after an update that was not a rollback, which clears the old one."""
    ours = view.sections.get("policy", {})
    if ours.get("updates") and not any(name.startswith("rollback.") for name in ours):
        yield view.old["tamiyo"], ours | {f"run.{k}": v for k, v in view.run.items()}


def todays_policy(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the policy, for the entropies of the heads. The older aggregators read names that no emitter sends."""
    if view.dialect == "current":
        yield from policy(view)


def in_policy(name: str) -> Records:
    """Yield a record inside the `current` policy. Ours has its fields in the policy itself."""

    def records(view: View) -> Iterator[tuple[Raw, Fields]]:
        for old, ours in todays_policy(view):
            yield old[name], ours

    return records


def decisions(view: View) -> Iterator[tuple[Raw, Fields]]:
    """Yield the last decision. The old one names no environment: it is the focused one's if the times agree."""
    old = view.old["tamiyo"].get("last_decision")
    env = view.sections.get(f"env:{view.old['focused_env_id']}", {})
    if old and env.get("event.timestamp") == timestamp_of(old):
        yield old, env
