"""Counters as fields of a checkpoint, in both directions."""

from dataclasses import fields

from sanctum_bus.fold.counters import Counters
from sanctum_bus.protocol.schema import SCHEMA_VERSION


def _counters() -> Counters:
    return Counters(
        entries=7,
        events=4,
        parked=1,
        duplicates=2,
        lost={"gap": 3},
        lost_ranges=[{"reason": "gap", "producer": "p", "after": 1, "until": 5, "seen_at": "2-0"}],
        producers={"p": 9, "q": 1},
        closed=["q"],
        trim_points=[(5, "2-0")],
    )


def test_a_checkpoint_restores_the_counters_that_it_was_made_of() -> None:
    """`from_checkpoint` is the inverse of `to_checkpoint`."""
    assert Counters.from_checkpoint(_counters().to_checkpoint()) == _counters()


def test_a_checkpoint_holds_the_schema_version_and_every_counter_in_order() -> None:
    """A new field of `Counters` cannot be left out of the checkpoint."""
    checkpoint = _counters().to_checkpoint()

    assert checkpoint["schema"] == SCHEMA_VERSION
    stored = {"trim_points": "marks"}
    assert list(checkpoint) == ["schema", *(stored.get(one.name, one.name) for one in fields(Counters))]


def test_a_field_that_a_checkpoint_lacks_has_its_default() -> None:
    """An empty checkpoint is the one of a run without entries; unknown fields are ignored."""
    assert Counters.from_checkpoint({}) == Counters.from_checkpoint({"generation": 3}) == Counters()
