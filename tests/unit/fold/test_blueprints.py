"""`blueprint:<id>`: totals over a blueprint's seeds, which nothing resets."""

from typing import Any

import pytest

from tests.support.fold_run import Run

NORM = "blueprint:norm"


def test_tallies() -> None:
    """The counts of germinated, fossilized and culled seeds cover all environments."""
    run = Run()

    for env_id in range(3):
        run.germinate(env_id, blueprint_id="norm")
    run.germinate(3, blueprint_id="mlp")
    run.seed("CULLED", 0, blueprint_id="norm")
    run.seed("FOSSILIZED", 1, blueprint_id="norm")

    norm = run.section(NORM)
    assert [norm[name] for name in ("germinated", "fossilized", "culled", "auto_culled")] == [3, 1, 1, 0]
    assert run.section("blueprint:mlp")["germinated"] == 1


@pytest.mark.parametrize("data", [{}, {"blueprint_id": None}])
@pytest.mark.parametrize(
    ("what", "tally"), [("CULLED", "culled"), ("PRUNED", "culled"), ("FOSSILIZED", "fossilized")]
)
def test_the_blueprint_of_the_seed(what: str, tally: str, data: dict[str, Any]) -> None:
    """If the end of a seed does not name its blueprint, the blueprint of the germination counts."""
    run = Run()

    run.germinate(blueprint_id="norm")
    run.seed(what, **data)

    assert run.section(NORM)[tally] == 1


def test_the_blueprint_an_epoch_told() -> None:
    """A seed that only an epoch reported has the epoch's blueprint."""
    run = Run()

    run.epoch(0, 1, 50.0, seeds={"r0c0": {"stage": "TRAINING", "blueprint_id": "norm"}})
    run.seed("CULLED")

    assert run.section(NORM)["culled"] == 1
    assert run.section(NORM)["germinated"] == 0


def test_an_unknown_blueprint() -> None:
    """A seed without a known blueprint counts only in its environment."""
    run = Run()

    run.germinate()
    run.seed("CULLED", blueprint_id=None)

    assert [name for name in run.sections if name.startswith("blueprint:")] == []
    assert run.section("env:0")["culled"] == 1


def test_reasons() -> None:
    """`cull_reasons` counts by reason; `auto_culled` counts automatic culls."""
    run = Run()

    for reason, auto in (("stagnation", False), ("timeout", True), ("stagnation", True)):
        run.germinate(blueprint_id="norm")
        run.seed("CULLED", blueprint_id="norm", reason=reason, auto_culled=auto)

    assert run.section(NORM)["cull_reasons"] == {"stagnation": 2, "timeout": 1}
    assert run.section(NORM)["auto_culled"] == 2


def test_null_is_no_reason() -> None:
    """A null or missing reason does not count, and a null flag means not automatic."""
    run = Run()

    run.seed("CULLED", blueprint_id="norm", reason=None, auto_culled=None)
    run.seed("CULLED", blueprint_id="norm")

    assert run.section(NORM)["cull_reasons"] == {}
    assert (run.section(NORM)["culled"], run.section(NORM)["auto_culled"]) == (2, 0)


def test_improvement() -> None:
    """A blueprint has sum, best and worst of the improvements of ended seeds; a null adds nothing."""
    run = Run()

    run.seed("FOSSILIZED", blueprint_id="norm", improvement=4.0)
    run.seed("CULLED", blueprint_id="norm", improvement=-1.5)
    run.seed("CULLED", blueprint_id="norm", improvement=None)
    run.seed("CULLED", blueprint_id="norm")

    norm = run.section(NORM)
    assert (norm["improvement_sum"], norm["improvement_best"], norm["improvement_worst"]) == (2.5, 4.0, -1.5)


def test_only_losses() -> None:
    """The best of only negative improvements is negative."""
    run = Run()

    run.seed("CULLED", blueprint_id="norm", improvement=-3.0)
    run.seed("CULLED", blueprint_id="norm", improvement=-2.0)

    assert (run.section(NORM)["improvement_best"], run.section(NORM)["improvement_worst"]) == (-2.0, -3.0)


def test_an_improvement_that_is_not_a_number() -> None:
    """A NaN improvement is neither the best nor the worst, at any position."""
    run = Run()

    for improvement in (float("nan"), 1.0, float("nan"), 3.0):
        run.seed("CULLED", blueprint_id="norm", improvement=improvement)

    assert (run.section(NORM)["improvement_best"], run.section(NORM)["improvement_worst"]) == (3.0, 1.0)
    assert run.parked() == []


def test_ages_and_parameters() -> None:
    """A blueprint sums the ages of ended seeds and the parameters of fossilized ones."""
    run = Run()

    run.seed("FOSSILIZED", blueprint_id="norm", epochs_total=11, params_added=100)
    run.seed("FOSSILIZED", blueprint_id="norm", epochs_total=None, params_added=50)
    run.seed("CULLED", blueprint_id="norm", epochs_total=5, params_added=7)

    assert run.section(NORM)["epochs_total_sum"] == 16
    assert run.section(NORM)["fossilized_params"] == 150


def test_for_ever() -> None:
    """Neither a batch end nor a new start changes a blueprint."""
    run = Run()

    run.start({"n_envs": 1})
    run.germinate(blueprint_id="norm")
    run.batch(1)
    run.germinate(blueprint_id="norm")
    run.start({"n_envs": 1})
    run.germinate(blueprint_id="norm")

    assert run.section(NORM)["germinated"] == 3
