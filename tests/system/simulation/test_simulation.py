"""Exactly once, under any crash: many seeds, each a separate world; equal seeds lead to equal worlds."""

import pytest

from tests.system.simulation.simulation import simulate

#: Seeds of one test, so that they can be spread over processes.
_CHUNK = 10


@pytest.mark.parametrize("first", range(0, 200, _CHUNK))
def test_snapshot_is_the_fold_of_a_prefix_and_catches_up(first: int) -> None:
    """After every commit the snapshot is the fold of the stream up to its version; in the end everything is folded.

    Every event that the server accepted from a publisher is there once, in order, unless the server lost it.
    """
    for seed in range(first, first + _CHUNK):
        outcome = simulate(seed)
        assert not outcome.broken, f"{outcome}\nagain: scripts/simulate --seed {seed} -v"
        assert outcome.checks, f"seed {seed} has compared nothing"


def test_a_seed_is_the_same_world_again() -> None:
    """Every choice comes from the seed, so a failure can be repeated."""
    for seed in range(3):
        assert simulate(seed) == simulate(seed)
