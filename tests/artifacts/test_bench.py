"""The rules of the benchmarks: what counts as slower, what the page shows, and what the load contains."""

import itertools
import json
from pathlib import Path

import pytest

from bench import document, recorded, table
from bench.load import entries, standard, standard_entries, synthetic
from bench.results import Better, Figure, Results, Series, load
from sanctum_bus.fold.offline import fold_entries


def _figure(median: float, better: Better = "higher", *, unit: str = "x", name: str = "drain") -> Figure:
    return Figure(name, "a drain", unit, [median], better=better, parts=(Series("one", "us", [1.0, 2.0]),))


@pytest.mark.parametrize(
    ("better", "known", "found", "is_worse"),
    [
        ("higher", 10.0, 5.1, False),
        ("higher", 10.0, 4.9, True),
        ("lower", 1.0, 1.9, False),
        ("lower", 1.0, 2.1, True),
    ],
)
def test_only_a_ratio_that_is_half_as_good_is_worse(
    tmp_path: Path, better: Better, known: float, found: float, *, is_worse: bool
) -> None:
    """A ratio fails the check where it is less than half as good as recorded, whichever way is good."""
    path = tmp_path / "recorded.json"
    recorded.record(Results({}, [_figure(known, better)]), path)

    assert bool(recorded.worse(Results({}, [_figure(found, better)]), path)) is is_worse


def test_what_is_no_ratio_is_not_recorded(tmp_path: Path) -> None:
    """Absolute values and the slowest of many say too much of the machine to be held against it."""
    path = tmp_path / "recorded.json"
    recorded.record(Results({}, [_figure(1.0, unit="ms"), _figure(1.0, name="emit_p999")]), path)

    assert json.loads(path.read_text()) == {}


def test_results_survive_the_file(tmp_path: Path) -> None:
    """Results can be added to the page later: reading their JSON returns the same results."""
    results = Results({"server": "valkey"}, [_figure(0.5)], skipped={"peer": "not installed"})
    results.save(tmp_path / "results.json")
    found = load(tmp_path / "results.json")

    assert table.report(found) == table.report(results)
    assert found.skipped == results.skipped


def test_the_page_has_a_place_for_each_table() -> None:
    """The generated parts of the page are found by their markers, and the words around them stay."""
    page = document.PAGE.read_text()
    for name in ("facts", "figures", "profile", "skipped"):
        changed = document.replaced(page, name, "| new |")
        assert "| new |" in changed
        assert changed.splitlines()[0] == page.splitlines()[0]
    with pytest.raises(document.NoMarker):
        document.replaced(page, "nothing", "")


def test_the_standard_load_goes_on_where_it_left_off() -> None:
    """The load may be published in slabs: together they are the same entries, and all of them are folded."""
    whole = list(standard_entries(3_000))
    slabs = [list(standard_entries(1_000, first, first + 1)) for first in (0, 1_000, 2_000)]
    counters = fold_entries((f"0-{number}", entry) for number, entry in enumerate(whole, 1)).counters

    assert list(itertools.chain(*slabs)) == whole == list(entries(standard(3_000)))
    assert (counters.events, counters.parked, counters.lost) == (3_000, 0, {})


def test_a_synthetic_run_has_the_size_that_was_asked_for() -> None:
    """Every environment and every seed slot has its section; nothing is parked."""
    told = entries(synthetic(envs=8, slots=6, count=400))
    aggregate = fold_entries((f"0-{number}", entry) for number, entry in enumerate(told, 1))
    names = aggregate.state.sections.keys()

    assert aggregate.counters.parked == 0
    assert sum(name.startswith("env:") for name in names) == 8
    assert sum(name.startswith("seed:") for name in names) == 48
