"""Load of the benchmarks: a real recording, repeated, or synthetic events of a run of any size."""

import itertools
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sanctum_bus.events import recordings
from sanctum_bus.events.encode import Encoded, encode_event

ROOT = Path(__file__).resolve().parents[1]

#: The standard load, and the replacement if the recordings are not next to the repository.
_RECORDING = ROOT.parent / "shared" / "recordings" / "dec19" / "blind_16env_20round.jsonl.gz"
_STAND_IN = ROOT / "tests" / "data" / "dec19_cifar10_2env_2round.jsonl.gz"

_PRODUCER = b"bench-0"

#: Number of different values for policy actions, epochs and similar fields.
_CYCLE = 97

Event = dict[str, Any]
Entry = dict[bytes, bytes]


def recording() -> Path:
    """Return the recording that is the standard load on this machine."""
    return _RECORDING if _RECORDING.exists() else _STAND_IN


@cache
def recorded(most: int | None = None) -> tuple[Event, ...]:
    """Return the events of the recording, or only the first `most` of them."""
    records = itertools.islice(recordings.read(recording()), most)
    return tuple(record.event for record in records if record.event is not None)


def standard(count: int, first: int = 0) -> Iterator[Event]:
    """Yield events `first` to `first + count` of the repeated recording; only the first event starts the run."""
    start, *rest = recorded(None if first else max(2, count))
    return itertools.islice(itertools.chain([start], itertools.cycle(rest)), first, first + count)


def synthetic(envs: int, slots: int, count: int) -> Iterator[Event]:
    """Yield events of a run with this number of environments and seed slots, in the shapes of the catalog.

    Every slot is germinated within the first `envs * (slots + 2)` events. Then each environment trains, acts and is
    rewarded in turn.
    """
    yield _event(
        0, "TRAINING_STARTED", {"n_envs": envs, "max_epochs": 25, "task": "cifar10", "n_episodes": envs}
    )
    yield from itertools.islice(_told(envs, slots), count - 1)


def _told(envs: int, slots: int) -> Iterator[Event]:
    for number in itertools.count(1):
        for env in range(envs):
            if number <= slots:
                yield _seed("SEED_GERMINATED", number, env, number - 1)
            else:
                yield _seed("SEED_STAGE_CHANGED", number, env, number % slots)
            yield _event(number, "EPOCH_COMPLETED", _epoch(number, env, slots), epoch=number)
            yield _event(number, "REWARD_COMPUTED", _reward(number, env), epoch=number)
        if number % 25 == 0:
            accuracies = [50.0 + env % _CYCLE / 10 for env in range(envs)]
            data = {"batch_idx": number // 25, "env_accuracies": accuracies, "avg_accuracy": 50.0}
            yield _event(number, "BATCH_EPOCH_COMPLETED", data | {"episodes_completed": envs})


def _event(number: int, kind: str, data: Event, **envelope: Any) -> Event:
    known = {"event_id": f"{kind}-{number}-{data.get('env_id', '')}", "event_type": kind}
    return known | {"timestamp": 1.7e9 + number, "message": "", "severity": "info", "data": data} | envelope


def _seed(kind: str, number: int, env: int, slot: int) -> Event:
    data: Event = {
        "env_id": env,
        "seed_id": f"env{env}_seed_{slot}",
        "alpha": 0.5,
        "inner_epoch": number % 25,
    }
    if kind == "SEED_GERMINATED":
        data |= {"blueprint_id": ("norm", "attention", "conv_light")[slot % 3], "params": 1_152 * (slot + 1)}
    else:
        data |= {"from": "TRAINING", "to": "BLENDING", "accuracy_delta": 0.25, "epochs_in_stage": 3}
    return _event(number, kind, data, slot_id=f"r{slot // 3}c{slot % 3}", seed_id=f"env{env}_seed_{slot}")


def _epoch(number: int, env: int, slots: int) -> Event:
    accuracy = 40.0 + (number + env) % _CYCLE / 10
    seeds = {
        f"r{slot // 3}c{slot % 3}": {"stage": "TRAINING", "alpha": 0.5, "accuracy_delta": accuracy / 100}
        for slot in range(slots)
    }
    losses = {"val_loss": 2.0 - accuracy / 100, "train_loss": 1.9, "train_accuracy": accuracy + 1}
    return {"env_id": env, "inner_epoch": number % 25, "val_accuracy": accuracy, "seeds": seeds, **losses}


def _reward(number: int, env: int) -> Event:
    reward = (number * 31 + env) % _CYCLE / _CYCLE
    names = ("base_acc_delta", "bounded_attribution", "compute_rent", "stage_bonus", "pbrs_bonus")
    parts = dict.fromkeys(names, reward / 5)
    action = ("WAIT", "GERMINATE", "CULL")[(number + env) % 3]
    return {"env_id": env, "episode": env, "action_name": action, "total_reward": reward, **parts}


def standard_entries(count: int, first: int = 0, first_seq: int = 1) -> Iterator[Entry]:
    """Yield the same as `entries(standard(count, first))`, but encode each event of the recording only once."""
    start, *rest = _encoded(None if first else max(2, count))
    # Avoid iterating to a distant position.
    first = first and (first - 1) % len(rest) + 1
    chosen = itertools.islice(itertools.chain([start], itertools.cycle(rest)), first, first + count)
    return numbered(chosen, first_seq)


def entries(events: Iterable[Event]) -> Iterator[Entry]:
    """Yield the stream entries that a publisher creates from events."""
    return numbered(map(encode_event, events))


@cache
def _encoded(most: int | None) -> tuple[Encoded, ...]:
    return tuple(map(encode_event, recorded(most)))


def numbered(encoded: Iterable[Encoded], first_seq: int = 1) -> Iterator[Entry]:
    """Yield stream entries of encoded events, numbered by one producer."""
    for seq, (kind, packed, _) in enumerate(encoded, first_seq):
        yield {b"type": kind.encode(), b"producer": _PRODUCER, b"seq": b"%d" % seq, b"event": packed}
