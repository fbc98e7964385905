"""The seed event log of recorded runs: one line for each SEED_* event and each milestone.

This module computes the expected lines from the raw events, not with the fold.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from sanctum_bus.events import names
from sanctum_bus.fold.aggregate import Aggregate
from tests.support.recordings import Raw, Recording, recordings, timestamp_of

Fields = dict[str, Any]
Lines = list[tuple[str, Fields]]

_SMALL = ("plan/cifar10_2env_2round", "dec19/cifar10_2env_2round", "current/baseline_2env_3round")

#: The large recording is available only with the whole collection.
_LARGE = "dec19/blind_16env_20round"

each_recording = pytest.mark.parametrize(
    "recording", [one for one in recordings() if one.id in (*_SMALL, _LARGE)], ids=lambda one: one.id
)


@cache
def logged(recording: Recording) -> Lines:
    """Return the lines of the fold, each with its ID."""
    aggregate = Aggregate()
    for entry_id, entry in recording.entries():
        aggregate.apply(entry_id, entry)
    return aggregate.drain_changes().lines


class Expected:
    """Return the expected lines from the raw events, each with its ID."""

    def __init__(self, recording: Recording) -> None:
        self.lines: Lines = []
        self._episodes = 0
        self._blueprints: dict[tuple[Any, Any], Any] = {}
        for number, raw in enumerate(recording.lines(), 1):
            self._note(raw)
            if is_logged(raw):
                self.lines.append((f"0-{number}", self._line(raw)))

    def _note(self, raw: Raw) -> None:
        """Record what later lines need: the completed episodes, and the blueprint in each slot."""
        data, env_id = raw["data"], raw["data"].get("env_id")
        if raw["event_type"] == "TRAINING_STARTED":
            self._episodes = data.get("start_episode") or 0
        if canonical(raw) == "BATCH_EPOCH_COMPLETED":
            self._episodes = data["episodes_completed"]
            self._blueprints.clear()
        planted = {slot_of(raw): data} if raw["event_type"].startswith("SEED_") else {}
        if raw["event_type"] == "EPOCH_COMPLETED":
            planted = data.get("seeds") or {}
        for slot, seed in planted.items():
            if seed.get("blueprint_id"):
                self._blueprints[env_id, slot] = seed["blueprint_id"]

    def _line(self, raw: Raw) -> Fields:
        env_id, slot = raw["data"].get("env_id"), slot_of(raw)
        aliases = names.FIELD_ALIASES.get(canonical(raw), {})
        line = {
            "type": canonical(raw),
            "at": timestamp_of(raw),
            "env_id": env_id,
            "slot_id": slot,
            "blueprint_id": self._blueprints.get((env_id, slot)) if slot else None,
            "episode": self._episodes + (env_id or 0),
            "message": message_of(raw),
            "data": {aliases.get(name, name): value for name, value in raw["data"].items()},
        }
        return {name: value for name, value in line.items() if value is not None}


def canonical(raw: Raw) -> str:
    """The canonical type of an event."""
    return names.canonical_type(raw["event_type"])


def slot_of(raw: Raw) -> Any:
    """Return the slot of an event."""
    return raw["slot_id"] or raw["data"].get("slot_id")


def is_logged(raw: Raw) -> bool:
    """Return whether an event is a SEED_* event or a milestone."""
    event_type = canonical(raw)
    return (
        event_type.startswith(("SEED_", "GOVERNOR_", "CHECKPOINT_"))
        or event_type.endswith("_DETECTED")
        or event_type in ("TRAINING_STARTED", "BATCH_EPOCH_COMPLETED")
        or (event_type == "PPO_UPDATE_COMPLETED" and raw["data"].get("early_stop_epoch") is not None)
    )


def message_of(raw: Raw) -> str:
    """Return the message of an event's line, from the table below."""
    word = _WORDS.get(raw["event_type"])
    if word is not None:
        return word(f"{slot_of(raw)} ", raw["data"])
    return raw["message"].split("\n")[0][:200] or canonical(raw)


def _staged(slot: str, data: Fields) -> str:
    return f"{slot}{data.get('from') or data['from_stage']}->{data.get('to') or data['to_stage']}"


def _fossilized(slot: str, data: Fields) -> str:
    return f"{slot}fossilized" + in_brackets(percent(data["improvement"]), data["blueprint_id"])


def _culled(slot: str, data: Fields) -> str:
    word = "auto-culled" if data["auto_culled"] else "culled"
    return slot + word + in_brackets(data["reason"], data["blueprint_id"])


def _pruned(slot: str, data: Fields) -> str:
    word = "auto-pruned" if data["auto_pruned"] else "pruned"
    return slot + word + in_brackets(data["reason"], data["blueprint_id"])


def _gated(slot: str, data: Fields) -> str:
    failed = "" if data["passed"] else in_brackets((data["checks_failed"] or [data["message"]])[0])
    return f"{slot}gate {data['gate']} {'passed' if data['passed'] else 'failed'}{failed}"


def _batch(_: str, data: Fields) -> str:
    return (
        f"batch {data['batch_idx']}: accuracy {data['avg_accuracy']:.1f}, rolling "
        f"{data['rolling_accuracy']:.1f}, reward {data['avg_reward']:+.2f} "
        f"(episode {data['episodes_completed']}/{data['total_episodes']})"
    )


#: Emitted type -> its message from slot and fields. Every other event has its own message.
_WORDS: dict[str, Callable[[str, Fields], str]] = {
    "SEED_GERMINATED": lambda slot, data: f"{slot}germinated" + in_brackets(data["blueprint_id"]),
    "SEED_STAGE_CHANGED": _staged,
    "SEED_FOSSILIZED": _fossilized,
    "SEED_CULLED": _culled,
    "SEED_PRUNED": _pruned,
    "SEED_GATE_EVALUATED": _gated,
    "BATCH_COMPLETED": _batch,
    "BATCH_EPOCH_COMPLETED": _batch,
    "PPO_UPDATE_COMPLETED": lambda _, data: f"KL early stop at epoch {data['early_stop_epoch']:g}",
}


def in_brackets(*parts: str | None) -> str:
    """Return the known parts in brackets, or an empty text."""
    known = ", ".join(part for part in parts if part)
    return f" ({known})" if known else ""


def percent(value: float) -> str:
    """Return a change in percent with its sign; one that rounds to zero has a plus."""
    return f"{value:+.1f}%".replace("-0.0%", "+0.0%")


@each_recording
def test_every_seed_event_has_a_line(recording: Recording) -> None:
    """Each SEED_* event has one line, in order, with the ID of its entry."""
    raw = [(f"0-{number}", canonical(line)) for number, line in enumerate(recording.lines(), 1)]
    seeds = [(entry_id, event_type) for entry_id, event_type in raw if event_type.startswith("SEED_")]

    lines = [(entry_id, line["type"]) for entry_id, line in logged(recording)]

    assert len(seeds) > 90
    assert [one for one in lines if one[1].startswith("SEED_")] == seeds


@each_recording
def test_every_line_says_what_the_semantics_say(recording: Recording) -> None:
    """A line has type, time, place, episode, fields and message of its event; nothing else is logged."""
    expected = Expected(recording).lines

    found = logged(recording)

    assert [entry_id for entry_id, _ in found] == [entry_id for entry_id, _ in expected]
    pairs = zip(found, expected, strict=True)
    wrong = [(entry_id, line, other) for (entry_id, line), (_, other) in pairs if _told(line) != _told(other)]
    assert wrong[:3] == []


def _told(line: Fields) -> list[tuple[str, str]]:
    """Return a line as a text that distinguishes all values."""
    return sorted((name, repr(value)) for name, value in line.items())


@each_recording
def test_the_milestones_are_there(recording: Recording) -> None:
    """The start, every batch and detections have lines; events of high rate have none."""
    raw = [canonical(line) for line in recording.lines()]

    types = [line["type"] for _, line in logged(recording)]

    assert types[0] == "TRAINING_STARTED"
    milestones = {one for one in raw if one.endswith("_DETECTED") or one.startswith("CHECKPOINT_")}
    for event_type in milestones | {"TRAINING_STARTED", "BATCH_EPOCH_COMPLETED"}:
        assert types.count(event_type) == raw.count(event_type) > 0
    assert not {"EPOCH_COMPLETED", "REWARD_COMPUTED", "ANALYTICS_SNAPSHOT", "MORPHOLOGY_CAUSAL_LOG"} & set(
        types
    )


@pytest.mark.parametrize(
    ("name", "entry_id", "message"),
    [
        (_SMALL[0], "0-4", "r0c0 germinated (depthwise)"),
        (_SMALL[0], "0-7", "r0c0 GERMINATED->TRAINING"),
        (_SMALL[0], "0-13", "r0c0 culled (depthwise)"),
        (_SMALL[1], "0-89", "r0c0 auto-culled (negative_counterfactual, depthwise)"),
        (_SMALL[1], "0-204", "batch 1: accuracy 31.6, rolling 31.6, reward -8.08 (episode 2/4)"),
        (_SMALL[1], "0-412", "VALUE_COLLAPSE_DETECTED"),
        (_SMALL[1], "0-424", "Loaded best weights"),
        (_SMALL[2], "0-19", "r0c0 gate G1 passed"),
        (_SMALL[2], "0-31", "r0c0 gate G2 failed (insufficient_training_1_of_10)"),
        (_SMALL[2], "0-124", "r0c0 pruned (attention)"),
    ],
)
def test_a_line_reads_as_the_semantics_print_it(name: str, entry_id: str, message: str) -> None:
    """Some messages of the small runs, word by word, so that a shared mistake above cannot hide."""
    recording = next(one for one in recordings() if one.id == name)

    assert dict(logged(recording))[entry_id]["message"] == message
