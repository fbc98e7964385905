"""Builds a `RunView` from a snapshot: the one place of the views that reads fields of sections by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from sanctum_bus.events.stages import ENDED, STAGES
from sanctum_bus.protocol import section_names
from sanctum_bus.protocol.entry import FieldsView
from sanctum_bus.reader import LogLine, Snapshot
from sanctum_bus.views import derived
from sanctum_bus.views.derived import Sections, as_float, as_floats
from sanctum_bus.views.findings import findings_of
from sanctum_bus.views.model import (
    Accuracy,
    ArmView,
    BatchView,
    BestEpisode,
    BlueprintView,
    EnvView,
    Finding,
    Header,
    Metric,
    PolicyView,
    Progress,
    RunView,
    SeedView,
)

#: Metrics of the policy: field, label, decimals. Views with little room show the first ones.
POLICY_METRICS = (
    ("entropy", "entropy", 3),
    ("kl_divergence", "KL", 4),
    ("explained_variance", "expl. var.", 3),
    ("grad_norm", "grad norm", 2),
    ("policy_loss", "policy loss", 3),
    ("value_loss", "value loss", 3),
    ("clip_fraction", "clip frac.", 3),
    ("update_time_ms", "update ms", 1),
)

#: Heads of the policy network, in the order of the decision.
HEADS = ("slot", "blueprint", "op", "style", "blend", "tempo")

#: Sections of which an arm has at least one: a group of the names may also be something else.
_SECTIONS_OF_AN_ARM = ("policy", "batch")

#: Places of the leaderboard.
_PLACES = range(1, 11)

#: Stands for the plain group among named arms.
_UNNAMED = "·"


def build(snapshot: Snapshot, log: Sequence[LogLine] = (), *, recorded: bool = False) -> RunView:
    """Return the view of a snapshot.

    Args:
        snapshot: a whole snapshot.
        log: the newest lines of its seed event log, the newest last.
        recorded: the snapshot is a recording that was folded without a server: it cannot be behind.
    """
    sections = snapshot.sections
    names = ("", *section_names.groups(sections))
    found = tuple(name for name in names if _is_arm(sections, name)) or ("",)
    several = len(found) > 1
    arms = tuple(_arm(sections, name, several=several) for name in found)
    header = _header(snapshot, recorded=recorded)
    return RunView(
        header=header,
        arms=arms,
        envs=tuple(env for arm in arms for env in arm.envs),
        stages=_stages([seed for arm in found for seed in derived.seeds_of_run(sections, group=arm)]),
        blueprints=_by_use(one for arm in arms for one in arm.blueprints),
        log=log,
        findings=() if recorded else findings_of(snapshot, header),
        sections=sections,
    )


def refreshed(view: RunView, snapshot: Snapshot) -> RunView:
    """Return a view of the same version with the freshness of a newer read."""
    header = _header(snapshot, recorded=False)
    return replace(view, header=header, findings=findings_of(snapshot, header))


def with_problem(view: RunView, problem: str) -> RunView:
    """Return a view with the reason why it may be out of date."""
    return replace(view, findings=(Finding(kind="problem", text=problem), *view.findings))


def _header(snapshot: Snapshot, *, recorded: bool) -> Header:
    run = snapshot.sections.get("run", {})
    status = text_field(run, "status")
    devices = run.get("devices")
    return Header(
        run_id=snapshot.run_id,
        status="quiet" if status == "running" and derived.is_quiet(snapshot.age_s) else status,
        task=text_field(run, "task"),
        reward_mode=text_field(run, "reward_mode"),
        devices=tuple(str(device) for device in devices) if isinstance(devices, list) else (),
        runtime_s=derived.runtime_s(run),
        quiet_s=snapshot.age_s,
        version=snapshot.version,
        generation=snapshot.generation,
        schema=snapshot.schema,
        is_current=recorded or snapshot.is_current,
        behind_s=0.0 if recorded else derived.behind_s(snapshot),
        events=snapshot.events,
        parked=snapshot.parked,
        duplicates=snapshot.duplicates,
        lost=snapshot.lost,
    )


def _is_arm(sections: Sections, arm: str) -> bool:
    prefix = f"{arm}/" if arm else ""
    return any(prefix + name in sections for name in _SECTIONS_OF_AN_ARM) or bool(
        section_names.env_ids(sections, group=arm)
    )


def _arm(sections: Sections, name: str, *, several: bool) -> ArmView:
    prefix = f"{name}/" if name else ""
    run = sections.get(f"{prefix}run") or sections.get("run", {})
    batch, seeds = sections.get(f"{prefix}batch", {}), derived.seeds_of_run(sections, group=name)
    front = f"{unquote(name) or _UNNAMED}/" if several else ""
    return ArmView(
        name=name,
        reward_mode=text_field(run, "reward_mode"),
        progress=_progress(run, batch),
        accuracy=Accuracy(
            mean=as_float(run.get("mean_accuracy")),
            history=as_floats(run.get("mean_accuracy_history")),
            now=derived.mean_accuracy(sections, group=name),
            best_mean=derived.mean_best_accuracy(sections, group=name),
            rolling=as_float(batch.get("rolling_accuracy")),
        ),
        batch=_batch(batch),
        policy=_policy(sections.get(f"{prefix}policy", {})),
        envs=_envs(sections, name, front),
        active_seeds=derived.active_seeds(seeds),
        stages=_stages(seeds),
        blueprints=_by_use(_blueprints(sections, f"{prefix}blueprint:", front)),
        best=_best(sections.get(f"{prefix}best", {})),
    )


def _progress(run: FieldsView, batch: FieldsView) -> Progress:
    return Progress(
        episodes=as_float(run.get("episodes_completed")),
        episodes_total=as_float(batch.get("total_episodes", run.get("n_episodes"))),
        epoch=as_float(run.get("inner_epoch")),
        epochs_total=as_float(run.get("max_epochs")),
        epochs_per_second=as_float(batch.get("epochs_per_second")),
        batches_per_hour=as_float(batch.get("batches_per_hour")),
    )


def metric(fields: FieldsView, name: str, label: str, digits: int) -> Metric:
    """Return a field with its history."""
    history = as_floats(fields.get(f"{name}_history"))
    return Metric(name=name, label=label, value=as_float(fields.get(name)), digits=digits, history=history)


def _batch(fields: FieldsView) -> BatchView:
    return BatchView(
        index=as_float(fields.get("batch_idx")),
        accuracy=metric(fields, "avg_accuracy", "acc.", 1),
        reward=metric(fields, "avg_reward", "reward", 2),
        train_loss=as_float(fields.get("train_loss")),
        val_loss=as_float(fields.get("val_loss")),
        train_accuracy=as_float(fields.get("train_accuracy")),
    )


def _policy(fields: FieldsView) -> PolicyView:
    heads = {head: as_float(fields.get(f"head_{head}_entropy")) for head in HEADS}
    return PolicyView(
        updates=as_float(fields.get("updates")),
        metrics=tuple(metric(fields, *one) for one in POLICY_METRICS) if fields else (),
        head_entropies={head: value for head, value in heads.items() if value is not None},
        lr=as_float(fields.get("lr")),
        early_stops=as_float(fields.get("early_stops")),
        rollbacks=as_float(fields.get("rollbacks")),
        entropy_collapsed=fields.get("entropy_collapsed") is True,
    )


def _envs(sections: Sections, arm: str, front: str) -> tuple[EnvView, ...]:
    run = sections.get(f"{arm}/run" if arm else "run", {})
    slots = _slots(run)
    envs, seeds = derived.envs(sections, group=arm), derived.seeds(sections, group=arm)
    return tuple(
        _env(run, env_id, f"{front}{env_id}", envs.get(env_id, {}), _seeds(seeds.get(env_id, {}), slots))
        for env_id in sorted(envs.keys() | seeds.keys())
    )


def _env(
    run: FieldsView, env_id: int, label: str, fields: FieldsView, seeds: tuple[SeedView, ...]
) -> EnvView:
    actions = fields.get("action_history")
    return EnvView(
        env_id=env_id,
        label=label,
        status=text_field(fields, "status"),
        epoch=as_float(fields.get("inner_epoch")),
        accuracy=as_float(fields.get("val_accuracy")),
        accuracy_history=as_floats(fields.get("accuracy_history")),
        best_accuracy=as_float(fields.get("best_accuracy")),
        best_epoch=as_float(fields.get("best_accuracy_epoch")),
        reward=derived.current_reward(fields),
        reward_mean=derived.mean_reward(fields),
        reward_history=as_floats(fields.get("reward_history")),
        last_action=str(actions[-1]) if isinstance(actions, list) and actions else "",
        action_confidence=as_float(fields.get("decision.action_confidence")),
        action_shares=derived.action_percentages(fields),
        growth_ratio=derived.growth_ratio(run, fields),
        seeds=seeds,
    )


def _seeds(held: Mapping[str, FieldsView], slots: Sequence[str]) -> tuple[SeedView, ...]:
    # Empty slots of the host keep their place, so that a column is a slot.
    names = [*slots, *(slot for slot in held if slot not in slots)]
    return tuple(
        SeedView(slot=slot, stage=text_field(fields, "stage"), blueprint=text_field(fields, "blueprint_id"))
        for slot in names
        for fields in [held.get(slot, {})]
    )


def _slots(run: FieldsView) -> list[str]:
    slots = run.get("slot_ids")
    return [slot for slot in slots if isinstance(slot, str)] if isinstance(slots, list) else []


def _blueprints(sections: Sections, prefix: str, front: str) -> list[BlueprintView]:
    return [
        BlueprintView(
            name=front + unquote(name.removeprefix(prefix)),
            germinated=as_float(fields.get("germinated")),
            fossilized=as_float(fields.get("fossilized")),
            culled=as_float(fields.get("culled")),
            mean_improvement=derived.mean_improvement(fields),
        )
        for name, fields in sections.items()
        if name.startswith(prefix)
    ]


def _by_use(found: Iterable[BlueprintView]) -> tuple[BlueprintView, ...]:
    return tuple(sorted(found, key=lambda one: (-(one.germinated or 0), one.name)))


def _best(records: FieldsView) -> tuple[BestEpisode, ...]:
    return tuple(
        BestEpisode(
            place=place,
            peak_accuracy=as_float(record.get("peak_accuracy")),
            env_id=record.get("env_id"),
            episode=record.get("episode"),
            growth_ratio=as_float(record.get("growth_ratio")),
        )
        for place in _PLACES
        if isinstance(record := records.get(str(place)), dict)
    )


def _stages(seeds: Sequence[FieldsView]) -> dict[str, int]:
    counts = derived.stages(seeds)
    unknown = counts.keys() - set(STAGES) - set(ENDED)
    return {stage: counts[stage] for stage in (*STAGES, *sorted(unknown), *ENDED) if stage in counts}


def text_field(fields: FieldsView, name: str) -> str:
    """Return a field that holds text, or "" if it holds anything else."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""
