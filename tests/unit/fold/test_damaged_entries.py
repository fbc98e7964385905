"""P33: randomly damaged real events are folded or parked, and none stops the run."""

import random
from collections.abc import Callable, Iterator

from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.protocol.text_msgspec import encode_fields
from tests.support.fold_run import Entry
from tests.support.recordings import recordings

COUNT = 100_000


def _cut(chance: random.Random, raw: bytes) -> bytes:
    return raw[: chance.randrange(len(raw) + 1)]


def _flip(chance: random.Random, raw: bytes) -> bytes:
    damaged = bytearray(raw)
    for _ in range(chance.randrange(1, 4)):
        damaged[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _splice(chance: random.Random, raw: bytes) -> bytes:
    place = chance.randrange(len(raw))
    return raw[:place] + chance.randbytes(chance.randrange(1, 9)) + raw[place + chance.randrange(9) :]


DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (_cut, _flip, _flip, _splice)


def _damaged() -> Iterator[tuple[str, Entry]]:
    """Return events of every dialect, nine in ten of them damaged."""
    chance = random.Random(20_260_101)  # noqa: S311  # tests repeat
    smallest = {one.dialect: one for one in sorted(recordings(), key=lambda one: -one.path.stat().st_size)}
    sound = [fields for one in smallest.values() for _, fields in one.entries()]
    for number in range(1, COUNT + 1):
        fields = dict(chance.choice(sound))
        if chance.random() < 0.9:
            name = b"type" if chance.random() < 0.05 else b"event"
            fields[name] = chance.choice(DAMAGES)(chance, fields[name])
        yield f"{number}-0", fields


def _written(aggregate: Aggregate) -> int:
    """Build the arguments of a commit, and return the number of entries that it would park."""
    changes = aggregate.drain_changes()
    texts = [encode_fields(fields) for fields in changes.sections.values() if fields is not None]
    assert all(texts), "Redis has no empty hash, so the section would be missing"
    texts += [encode_fields(fields) for _, fields in [*changes.lines, *changes.batches]]
    "".join(item for flat in texts for item in flat if isinstance(item, str)).encode()
    return len(changes.parked)


def test_a_hundred_thousand_damaged_entries() -> None:
    """Each entry is folded, parked or a duplicate. No fold fails half-way, and every change can be written."""
    aggregate, parked = Aggregate(), 0

    for number, (entry_id, fields) in enumerate(_damaged(), start=1):
        aggregate.apply(entry_id, fields)
        if number % 100 == 0:
            parked += _written(aggregate)

    counters = aggregate.counters
    assert counters.parked == parked
    assert counters.entries == COUNT == counters.events + counters.parked + counters.duplicates
    assert counters.parked > COUNT // 4
