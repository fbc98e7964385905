"""A run for tests: applies events with counted IDs and times, and gives the results by name."""

import itertools
from typing import Any

import msgpack

from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.changes import ParkedEntry
from sanctum_bus.fold.counters import Counters

Fields = dict[str, Any]
Entry = dict[bytes, bytes]

#: The event time of a run's first event, in Unix seconds; each later event is one second later.
FIRST_SECOND = 1_700_000_000.0


def entry(event_type: str, data: Any = None, **envelope: Any) -> Entry:
    """Return the stream entry of one event.

    Args:
        event_type: the emitted type.
        data: the event's fields.
        envelope: keys of the event map. `producer`, `seq` and `dropped` become fields of the entry.
    """
    fields = {
        name.encode(): str(envelope.pop(name)).encode()
        for name in ("producer", "seq", "dropped")
        if name in envelope
    }
    body = {"v": 1, **envelope, "data": {} if data is None else data}
    return {b"type": event_type.encode(), b"event": msgpack.packb(body), **fields}


class Run:
    """The aggregate of one run, with counted IDs and times of its events, and all changes since the start."""

    def __init__(self) -> None:
        self.aggregate = Aggregate()
        self._numbers = itertools.count(1)
        self._lines: list[tuple[str, Fields]] = []
        self._parked: list[ParkedEntry] = []
        self._coverage: dict[str, int] = {}
        self._batches: list[Any] = []

    @property
    def sections(self) -> dict[str, Fields]:
        """Return all sections by name."""
        return self.aggregate.state.sections

    @property
    def counters(self) -> Counters:
        """Return the counters."""
        return self.aggregate.counters

    def event(self, event_type: str, data: Any = None, **envelope: Any) -> str:
        """Apply one event and return its entry ID. `event_id` and `timestamp` are counted unless given."""
        number = next(self._numbers)
        counted = {"event_id": f"e{number}", "timestamp": FIRST_SECOND + number - 1}
        entry_id = f"{number}-0"
        self.aggregate.apply(entry_id, entry(event_type, data, **(counted | envelope)))
        return entry_id

    def raw(self, fields: Entry) -> str:
        """Apply an unchanged entry and return its ID."""
        entry_id = f"{next(self._numbers)}-0"
        self.aggregate.apply(entry_id, fields)
        return entry_id

    def section(self, name: str) -> Fields:
        """Return one section. A KeyError names the existing sections."""
        if name not in self.sections:
            raise KeyError(f"no section {name}; there are {', '.join(self.sections)}")
        return self.sections[name]

    def lines(self) -> list[tuple[str, Fields]]:
        """Return all log lines since the start: entry ID and fields."""
        self._collect()
        return self._lines

    def messages(self) -> list[str]:
        """Return the messages of all log lines since the start."""
        return [line["message"] for _, line in self.lines()]

    def parked(self) -> list[ParkedEntry]:
        """Return all entries parked since the start."""
        self._collect()
        return self._parked

    def coverage(self) -> dict[str, int]:
        """Return the coverage counts."""
        self._collect()
        return self._coverage

    def batches(self) -> list[Any]:
        """Return the lines of the batches stream since the start."""
        self._collect()
        return self._batches

    def start(self, data: Fields | None = None, **envelope: Any) -> str:
        """Apply TRAINING_STARTED."""
        return self.event("TRAINING_STARTED", data, **envelope)

    def epoch(self, env_id: int, inner_epoch: int, accuracy: Any, **data: Any) -> str:
        """Apply EPOCH_COMPLETED of one environment."""
        fields = {"env_id": env_id, "inner_epoch": inner_epoch, "val_accuracy": accuracy, **data}
        return self.event("EPOCH_COMPLETED", fields, epoch=inner_epoch)

    def reward(self, env_id: int, total: Any, action: str = "WAIT", epoch: int = 1, **data: Any) -> str:
        """Apply REWARD_COMPUTED: one step."""
        fields = {"env_id": env_id, "action_name": action, "total_reward": total, **data}
        return self.event("REWARD_COMPUTED", fields, epoch=epoch)

    def batch(self, episodes_completed: int, accuracies: list[Any] | None = None, **data: Any) -> str:
        """Apply BATCH_EPOCH_COMPLETED."""
        known = {} if accuracies is None else {"env_accuracies": accuracies}
        return self.event(
            "BATCH_EPOCH_COMPLETED", {"episodes_completed": episodes_completed, **known, **data}
        )

    def germinate(self, env_id: int = 0, slot_id: str = "r0c0", **data: Any) -> str:
        """Apply SEED_GERMINATED."""
        return self.seed("GERMINATED", env_id, slot_id, **data)

    def stage(self, to: str, env_id: int = 0, slot_id: str = "r0c0", **data: Any) -> str:
        """Apply SEED_STAGE_CHANGED."""
        return self.seed("STAGE_CHANGED", env_id, slot_id, to=to, **data)

    def seed(self, what: str, env_id: int = 0, slot_id: str = "r0c0", **data: Any) -> str:
        """Apply SEED_<what>. The envelope has a given `seed_id` too, as emitters send it."""
        envelope = {"seed_id": data["seed_id"]} if "seed_id" in data else {}
        return self.event(f"SEED_{what}", {"env_id": env_id, **data}, slot_id=slot_id, **envelope)

    def _collect(self) -> None:
        changes = self.aggregate.drain_changes()
        self._lines += changes.lines
        self._parked += changes.parked
        self._batches += changes.batches
        self._coverage |= changes.coverage
