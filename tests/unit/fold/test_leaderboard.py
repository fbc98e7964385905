"""The leaderboard `best`: the ten best episodes."""

from typing import Any

import pytest

from tests.support.fold_run import Run


def _play(run: Run, completed: int, *accuracies: float, **batch: Any) -> None:
    """Play one batch of one epoch, in which environment i reaches the i-th accuracy."""
    for env_id, accuracy in enumerate(accuracies):
        run.epoch(env_id, 1, accuracy)
    run.batch(completed, list(accuracies), **batch)


def _places(run: Run, *names: str, section: str = "best") -> list[list[Any]]:
    records = run.section(section)
    assert list(records) == [str(place) for place in range(1, len(records) + 1)]
    return [[record[name] for name in names] for record in records.values()]


def test_a_record() -> None:
    """A record has the episode, its peak and the epoch of the peak, its final accuracy and its seeds."""
    run = Run()

    run.start({"n_envs": 1, "host_params": 1000})
    run.germinate(blueprint_id="norm")
    run.seed("FOSSILIZED", params_added=250)
    run.epoch(0, 1, 40.0, seeds={"r0c0": {"stage": "FOSSILIZED", "blueprint_id": "norm"}})
    run.epoch(0, 2, 60.0)
    run.epoch(0, 3, 55.0)
    run.batch(1, [55.0])

    assert run.section("best") == {
        "1": {
            "start": 1,
            "env_id": 0,
            "episode": 0,
            "peak_accuracy": 60.0,
            "peak_epoch": 2,
            "final_accuracy": 55.0,
            "growth_ratio": 1.25,
            "seeds": {"r0c0": {"blueprint": "norm", "stage": "FOSSILIZED"}},
        }
    }


def test_by_peak_accuracy() -> None:
    """The best peak comes first, also across batches."""
    run = Run()

    _play(run, 2, 50.0, 70.0)
    _play(run, 4, 60.0, 40.0)

    assert _places(run, "peak_accuracy") == [[70.0], [60.0], [50.0], [40.0]]


def test_ties_to_the_earlier() -> None:
    """Of equal peaks the earlier episode comes first."""
    run = Run()

    _play(run, 2, 50.0, 50.0)
    _play(run, 4, 50.0, 60.0)

    assert _places(run, "episode") == [[3], [0], [1], [2]]


def test_ten_places() -> None:
    """The leaderboard holds ten records. A later episode that equals the tenth is not added."""
    run = Run()

    for number in range(12):
        _play(run, number + 1, 50.0 + number)
    _play(run, 13, 52.0)

    assert _places(run, "peak_accuracy") == [[61.0 - place] for place in range(10)]
    assert run.section("best")["10"]["episode"] == 2


def test_the_number_of_the_episode() -> None:
    """`episode` is `episodes_completed - len(env_accuracies) + env_id`."""
    run = Run()

    _play(run, 20, 50.0, 40.0, 30.0)

    assert _places(run, "env_id", "episode") == [[0, 17], [1, 18], [2, 19]]


def test_a_smaller_last_batch() -> None:
    """The last batch can have fewer environments. One that did not run has no record."""
    run = Run()

    run.start({"n_envs": 3})
    _play(run, 3, 50.0, 40.0, 30.0)
    _play(run, 5, 45.0, 35.0)

    places = _places(run, "env_id", "episode", "peak_accuracy")
    assert places == [[0, 0, 50.0], [0, 3, 45.0], [1, 1, 40.0], [1, 4, 35.0], [2, 2, 30.0]]


def test_a_batch_that_nobody_ran() -> None:
    """A second batch end without an epoch in between adds and changes no record."""
    run = Run()

    _play(run, 1, 50.0)
    before = dict(run.section("best"))
    run.batch(2, [99.0])

    assert run.section("best") == before


def test_an_environment_without_an_accuracy_did_not_run() -> None:
    """Without a reported accuracy there is no record."""
    run = Run()

    run.reward(0, 1.0)
    run.epoch(1, 1, None)
    run.batch(2, [50.0, 60.0])

    assert run.sections.get("best", {}) == {}


def test_one_record_per_start() -> None:
    """The same episode of another start is another record, and a start keeps the leaderboard."""
    run = Run()

    run.start({"n_envs": 1})
    _play(run, 1, 50.0)
    run.start({"n_envs": 1})
    _play(run, 1, 60.0)

    assert _places(run, "start", "episode", "peak_accuracy") == [[2, 0, 60.0], [1, 0, 50.0]]


def test_one_record_per_episode_and_environment() -> None:
    """A batch end that names an episode again adds no second record."""
    run = Run()

    _play(run, 1, 50.0)
    _play(run, 1, 60.0)

    assert _places(run, "episode", "env_id") == [[0, 0]]


def test_a_resumed_run() -> None:
    """After a resume, episodes continue the count of `episodes_completed`."""
    run = Run()

    run.start({"n_envs": 2, "start_episode": 48})
    _play(run, 50, 50.0, 40.0, start_episode=48)

    assert _places(run, "episode") == [[48], [49]]


@pytest.mark.parametrize(
    ("start", "ratio"),
    [
        ({"host_params": 100}, 1.0),
        ({}, None),
        ({"host_params": None}, None),
        ({"host_params": 0}, None),
    ],
)
def test_growth_ratio_of_a_bare_host(start: dict[str, Any], ratio: float | None) -> None:
    """Growth ratio = (host_params + fossilized_params) / host_params, null without host_params."""
    run = Run()

    run.start({"n_envs": 1, **start})
    _play(run, 1, 50.0)

    assert run.section("best")["1"]["growth_ratio"] == ratio


def test_growth_is_the_episodes_own() -> None:
    """Parameters of seeds fossilized in an earlier episode do not count."""
    run = Run()

    run.start({"n_envs": 1, "host_params": 100})
    run.seed("FOSSILIZED", params_added=10)
    run.seed("FOSSILIZED", slot_id="r0c1", params_added=20)
    _play(run, 1, 60.0)
    run.seed("FOSSILIZED", params_added=50)
    _play(run, 2, 50.0)

    assert _places(run, "growth_ratio") == [[1.3], [1.5]]


def test_a_peak_of_zero_is_a_peak() -> None:
    """An environment that ran and stayed at 0 has a record."""
    run = Run()

    _play(run, 1, 0.0)

    assert _places(run, "peak_accuracy") == [[0.0]]


def test_a_record_does_not_change_later() -> None:
    """Later changes of the seeds do not change a record."""
    run = Run()

    run.epoch(0, 1, 50.0, seeds={"r0c0": {"stage": "BLENDING", "blueprint_id": "norm"}})
    run.batch(1, [50.0])
    run.epoch(0, 1, 40.0, seeds={"r0c0": {"stage": "FOSSILIZED", "blueprint_id": "mlp"}})

    assert run.section("best")["1"]["seeds"] == {"r0c0": {"blueprint": "norm", "stage": "BLENDING"}}


def test_not_a_number_has_no_place() -> None:
    """An environment whose accuracy was always NaN has no record, and does not change the order."""
    run = Run()

    _play(run, 3, 50.0, float("nan"), 60.0)
    _play(run, 6, float("nan"), 70.0, 55.0)

    peaks = [peak for (peak,) in _places(run, "peak_accuracy")]
    assert peaks == [70.0, 60.0, 55.0, 50.0]
