"""The simulation is effective: without any one of the guards and rules, some seed breaks a promise."""

import dataclasses

import pytest

from tests.system.simulation.mutations import GENERATION, MUTATIONS, STOPS, VERSION, Mutation, without
from tests.system.simulation.network import Weather
from tests.system.simulation.simulation import Outcome, simulate


def _first_broken(mutation: Mutation) -> Outcome | None:
    for seed in range(mutation.seeds):
        with mutation.patch():
            outcome = simulate(seed, mutation.profile, edit=mutation.edit, publisher=mutation.publisher)
        if outcome.broken:
            return outcome
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_it_is_missed(mutation: Mutation) -> None:
    """Without the guard a promise is broken, and in the same world with the guard none is."""
    broken = _first_broken(mutation)

    assert broken is not None, f"{mutation.seeds} seeds broke no promise without {mutation.name}"
    whole = simulate(broken.seed, mutation.profile)
    assert not whole.broken, whole


def test_the_generation_guard_is_covered_by_nobody() -> None:
    """Also if only the snapshot counts: without the guard, a worker that was replaced between two reads folds an entry twice."""
    late = Weather(cut=0.0, deaf=0.0, late=0.2, slow_s=0.02)
    profile = dataclasses.replace(STOPS, fence=False, weather=late)

    assert _first_broken(Mutation("the generation guard", profile, without("commit", GENERATION))) is not None


def test_the_generation_guard_covers_for_the_version_guard() -> None:
    """Without the version guard, no promise breaks unless the state rolls back under a living connection."""
    calm = Mutation("the version guard", STOPS, without("commit", VERSION), seeds=10)

    assert _first_broken(calm) is None
