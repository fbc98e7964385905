"""What the view shows, picked out of a snapshot: arms, environments, seeds and blueprints.

An A/B run has the sections of each arm under `<group>/`; a plain run has one arm, whose name is empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from sanctum_bus.events.stages import ENDED, STAGES
from sanctum_bus.protocol import section_names
from sanctum_bus.protocol.entry import FieldsView, Value
from sanctum_bus.views import derived
from sanctum_bus.views.format import label, number, printable, text_field

#: What an arm must have one of to count as one: events of a group may also be about other things.
_OF_AN_ARM = ("policy", "batch")


@dataclass(frozen=True, slots=True)
class Seed:
    """One seed slot of one environment; a slot that is empty has no stage."""

    slot: str
    stage: str = ""
    blueprint: str = ""


@dataclass(frozen=True, slots=True)
class Env:
    """One environment of one arm.

    Args:
        label: its number, the arm's name in front where there are several.
        seeds: its slots in the order of the host.
    """

    label: str
    fields: FieldsView
    seeds: tuple[Seed, ...]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What became of one blueprint's seeds."""

    name: str
    fields: FieldsView


@dataclass(frozen=True, slots=True)
class Run:
    """A snapshot, sorted out.

    Args:
        sections: all of it, by name.
        arms: the arms' names; `("",)` for a plain run.
        stages: how many seeds are in which stage, in the order in which a seed passes them.
    """

    sections: Mapping[str, FieldsView]
    arms: tuple[str, ...]
    envs: tuple[Env, ...]
    blueprints: tuple[Blueprint, ...]
    stages: Mapping[str, int]

    def section(self, name: str, arm: str = "") -> FieldsView:
        """Return a section of an arm, empty where there is none."""
        return self.sections.get(f"{arm}/{name}" if arm else name, {})


def sort_out(sections: Mapping[str, FieldsView]) -> Run:
    """Return what the view shows of a snapshot's sections."""
    arms = tuple(arm for arm in ("", *section_names.groups(sections)) if _is_arm(sections, arm)) or ("",)
    blueprints = [one for arm in arms for one in _blueprints(sections, arm, several=len(arms) > 1)]
    return Run(
        sections,
        arms,
        tuple(env for arm in arms for env in _envs(sections, arm, several=len(arms) > 1)),
        tuple(sorted(blueprints, key=lambda one: (-(number(one.fields.get("germinated")) or 0), one.name))),
        _stages([seed for arm in arms for seed in derived.seeds_of_run(sections, group=arm)]),
    )


def _is_arm(sections: Mapping[str, FieldsView], arm: str) -> bool:
    prefix = f"{arm}/" if arm else ""
    return any(prefix + name in sections for name in _OF_AN_ARM) or bool(
        section_names.env_ids(sections, group=arm)
    )


def _envs(sections: Mapping[str, FieldsView], arm: str, *, several: bool) -> list[Env]:
    slots = _slots(sections.get(f"{arm}/run" if arm else "run", {}))
    envs, seeds = derived.envs(sections, group=arm), derived.seeds(sections, group=arm)
    front = f"{label(arm) or '·'}/" if several else ""
    return [
        Env(f"{front}{env_id}", envs.get(env_id, {}), _seeds(seeds.get(env_id, {}), slots))
        for env_id in sorted(envs.keys() | seeds.keys())
    ]


def _seeds(held: Mapping[str, FieldsView], slots: Sequence[str]) -> tuple[Seed, ...]:
    # Empty slots of the host keep their place, so that a column is a slot.
    names = [*slots, *(slot for slot in held if slot not in slots)]
    return tuple(
        Seed(printable(slot), text_field(fields, "stage"), text_field(fields, "blueprint_id"))
        for slot in names
        for fields in [held.get(slot, {})]
    )


def _slots(run: FieldsView) -> list[str]:
    slots: Value = run.get("slot_ids")
    return [slot for slot in slots if isinstance(slot, str)] if isinstance(slots, list) else []


def _blueprints(sections: Mapping[str, FieldsView], arm: str, *, several: bool) -> list[Blueprint]:
    prefix = f"{arm}/blueprint:" if arm else "blueprint:"
    front = f"{label(arm) or '·'}/" if several else ""
    return [
        Blueprint(front + printable(unquote(name.removeprefix(prefix))), fields)
        for name, fields in sections.items()
        if name.startswith(prefix)
    ]


def _stages(seeds: Sequence[FieldsView]) -> dict[str, int]:
    counts = derived.stages(seeds)
    unknown = counts.keys() - set(STAGES) - set(ENDED)
    return {stage: counts[stage] for stage in (*STAGES, *sorted(unknown), *ENDED) if stage in counts}
