"""Values derived from a snapshot's sections."""

import math

import pytest

from sanctum_bus.events import stages
from sanctum_bus.fold.handlers import slot as fold_slot
from sanctum_bus.protocol import section_names
from sanctum_bus.views import derived
from sanctum_bus.views.derived import Sections

SECTIONS: Sections = {
    "run": {"host_params": 100},
    "env:2": {"val_accuracy": 60.0, "best_accuracy": 62.0, "fossilized_params": 20},
    "env:10": {"val_accuracy": 70, "best_accuracy": None},
    "env:11": {},
    "seed:2:r0c10": {"stage": "BLENDING"},
    "seed:2:r0c2": {"stage": "FOSSILIZED"},
    "seed:10:a%20b": {"stage": "SPROUTING"},
    "seed:10:never": {},
    "B/env:0": {"val_accuracy": 1.0},
    "B/seed:0:s": {"stage": "TRAINING"},
    "event:TICK:3": {"count": 1},
    "environment": {},
}


def test_groups_are_those_of_the_names() -> None:
    """A group is what stands before the slash."""
    assert section_names.groups(SECTIONS) == ("B",)
    assert section_names.groups([]) == ()


def test_environments_come_in_order_of_their_numbers() -> None:
    """10 comes after 2, and the environments of a group are its own."""
    assert list(derived.envs(SECTIONS)) == section_names.env_ids(SECTIONS) == [2, 10, 11]
    assert derived.envs(SECTIONS, group="B") == {0: {"val_accuracy": 1.0}}
    assert section_names.env_ids(["env:x", "env:", "env:²"]) == []


def test_seeds_come_by_environment_and_slot() -> None:
    """Slots come as people count, and under the names that were emitted."""
    seeds = derived.seeds(SECTIONS)

    assert {env_id: list(slots) for env_id, slots in seeds.items()} == {
        2: ["r0c2", "r0c10"],
        10: ["a b", "never"],
    }
    assert derived.seeds(SECTIONS, group="B") == {0: {"s": {"stage": "TRAINING"}}}
    assert derived.seeds({"seed:x:y": {}}) == {}


def test_stages_are_counted_as_they_are_now() -> None:
    """Per environment and per run; a seed without a stage is in none."""
    assert derived.stages(derived.seeds(SECTIONS)[2].values()) == {"BLENDING": 1, "FOSSILIZED": 1}
    assert derived.stages(derived.seeds_of_run(SECTIONS)) == {"BLENDING": 1, "FOSSILIZED": 1, "SPROUTING": 1}


def test_active_seeds_are_those_in_a_live_stage() -> None:
    """An unknown stage is a live one."""
    assert derived.active_seeds(derived.seeds_of_run(SECTIONS)) == 2
    assert derived.active_seeds([{"stage": stage} for stage in stages.NOT_LIVE]) == 0


def test_live_stages_are_those_of_the_fold() -> None:
    """The reader and the fold agree about which slots hold a growing seed."""
    assert vars(fold_slot)["NOT_LIVE"] is stages.NOT_LIVE


@pytest.mark.parametrize(
    ("host", "grown", "expected"),
    [
        (100, 20, 1.2),
        (100, None, 1.0),
        (100.0, 50.0, 1.5),
        (0, 20, None),
        (None, 20, None),
        ("100", 20, None),
        (True, 20, None),
    ],
)
def test_growth_ratio(host: object, grown: object, expected: float | None) -> None:
    """(host + fossilised) / host; nothing where the host's size is not known."""
    assert derived.growth_ratio({"host_params": host}, {"fossilized_params": grown}) == expected


def test_numbers_that_no_float_takes_are_no_numbers() -> None:
    """JSON text may hold an integer of any size: a view must survive it."""
    assert derived.growth_ratio({"host_params": 10**400}, {"fossilized_params": 0.5}) is None


def test_rewards() -> None:
    """The current reward is the last of the history, the mean that of all of it."""
    env = {"reward_history": [1, 2.5, None, "x", 4.0]}

    assert derived.current_reward(env) == 4.0
    assert derived.mean_reward(env) == 2.5
    assert derived.current_reward({}) is None
    assert derived.mean_reward({"reward_history": []}) is None
    assert derived.mean_reward({"reward_history": "text"}) is None


def test_action_percentages() -> None:
    """Shares add up to 100, the most frequent first; values that are not counts are left out."""
    env = {"action_counts": {"WAIT": 1, "GERMINATE": 3, "ODD": "x", "NEVER": 0}}

    assert derived.action_percentages(env) == {"GERMINATE": 75.0, "WAIT": 25.0}
    assert list(derived.action_percentages(env)) == ["GERMINATE", "WAIT"]
    assert derived.action_percentages({}) == {}


def test_accuracy_means_leave_out_what_was_not_measured() -> None:
    """An environment without a value is in no mean, and never a zero in one."""
    assert derived.mean_accuracy(SECTIONS) == 65.0
    assert derived.mean_best_accuracy(SECTIONS) == 62.0
    assert derived.mean_accuracy(SECTIONS, group="B") == 1.0
    assert derived.mean_accuracy({}) is None


@pytest.mark.parametrize("values", [[1.0, math.nan], [math.inf, -math.inf], [1e308, 1e308]])
def test_a_mean_that_is_none_is_nan(values: list[float]) -> None:
    """NaN that was measured shows, and a sum that has no end does not raise."""
    mean = derived.mean(values)

    assert mean is not None
    assert math.isnan(mean)


def test_times() -> None:
    """The runtime is measured by the clock of the events; a minute without an event makes a run quiet."""
    run = {"started_at": 100.0, "last_event_at": 160.5}

    assert derived.runtime_s(run) == 60.5
    assert derived.runtime_s({"last_event_at": 160.5}) is None
    assert [derived.is_quiet(seconds) for seconds in (None, 0.0, 60.0, 60.1)] == [False, False, False, True]
