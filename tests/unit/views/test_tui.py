"""The terminal view fits any size with any content, and shows the values of the snapshot."""

import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from sanctum_bus.cli.demo.data import demo_recording
from sanctum_bus.events import recordings
from sanctum_bus.fold import offline
from sanctum_bus.reader import LogLine, Snapshot
from sanctum_bus.views.build import build, with_problem
from sanctum_bus.views.model import RunView
from sanctum_bus.views.tui.layout import draw, pages
from sanctum_bus.views.tui.screen import Screen

Sections = dict[str, dict[str, Any]]

SIZES = [(120, 40), (80, 24), (80, 40), (200, 60), (100, 30), (60, 20), (40, 12), (30, 8)]


@cache
def demo_sections() -> Sections:
    """The sections of the recording that is shipped."""
    return offline.fold_records(recordings.read(demo_recording())).state.sections


def with_envs(amount: int, prefix: str = "") -> Sections:
    """The demo's sections with so many environments."""
    made: Sections = {"run": demo_sections()["run"]}
    for name, fields in demo_sections().items():
        kind, _, rest = name.partition(":")
        if kind not in {"env", "seed"}:
            made[prefix + name] = fields
            continue
        env_id, colon, slot = rest.partition(":")
        for copy in range(int(env_id), amount, 4):
            made[f"{prefix}{kind}:{copy}{colon}{slot}"] = fields
    return made


def drawn(shown: Screen, width: int, height: int | None) -> list[str]:
    """Return the lines of a picture."""
    out = io.StringIO()
    screen = Console(width=width, height=height, file=out, color_system=None, force_terminal=False)
    screen.print(draw(shown, width, height, "n/p page  q quit"))
    return out.getvalue().splitlines()


def run_of(sections: Sections, log: Sequence[LogLine] = (), **more: Any) -> RunView:
    """Return the view of sections that a reader would have read at version 1-0."""
    given: dict[str, Any] = {"version": "1-0", "generation": 1, "last_id": "1-0", "events": 10} | more
    return build(Snapshot("demo", sections=sections, names=frozenset(sections), **given), log)


def of(
    sections: Sections, log: Sequence[LogLine] = (), *, arm: int = 0, page: int = 0, **more: Any
) -> Screen:
    """Return the screen of sections."""
    return Screen(run_of(sections, log, **more), arm, page)


def line(event_type: str, at: Any, env_id: Any, episode: Any, message: str) -> LogLine:
    """Return a line of the seed event log."""
    return LogLine(id="1-0", type=event_type, at=at, env_id=env_id, episode=episode, message=message)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("envs", [0, 1, 4, 16, 64, 300])
def test_it_fits(size: tuple[int, int], envs: int) -> None:
    """No picture is wider or higher than its terminal, from one environment to hundreds."""
    width, height = size
    lines = drawn(of(with_envs(envs), log=[line("T", 1.0, 0, 1, "m" * 300)] * 99), width, height)

    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("size", [(120, 40), (80, 40)], ids=str)
def test_64_environments_are_all_there(size: tuple[int, int]) -> None:
    """64 environments fit on one page of a common terminal, each with its accuracy and its curve."""
    width, height = size
    picture = "\n".join(drawn(of(with_envs(64)), width, height))

    assert pages(run_of(with_envs(64)).envs, width, height) == 1
    assert [env for env in range(64) if f" {env} " not in picture] == []
    assert "48.4" in picture


def test_pages_go_round() -> None:
    """Environments that do not fit are on further pages; after the last one comes the first."""
    sections = with_envs(300)
    amount = pages(run_of(sections).envs, 80, 24)
    first, second, again = (drawn(of(sections, page=page), 80, 24) for page in (0, 1, amount))

    assert amount > 1
    assert f"page 1 of {amount}" in "\n".join(first)
    assert f"page 2 of {amount}" in "\n".join(second)
    assert again == first


def test_what_it_shows() -> None:
    """Run, policy, batch, environments, seeds by stage, blueprints, the best episode and the log."""
    culled = line("SEED_CULLED", 1795406632.0, 2, 14, "r0c0 culled (norm)")
    picture = "\n".join(drawn(of(demo_sections(), [culled]), 120, 40))

    for text in (
        "cifar10_blind",
        "ended",
        "16/16",
        "25/25",
        "mean acc. 57.0",
        "update 4",
        "4.999",
        "batch 4",
    ):
        assert text in picture
    for text in (
        "3 degraded",
        "GERMINATE 34%",
        "TRAINING   3",
        "attention",
        "72.7",
        "env 2  ep 14  r0c0 culled (norm)",
    ):
        assert text in picture


@pytest.mark.parametrize("width", [80, 120])
def test_ids_are_no_amounts(width: int) -> None:
    """Environments, episodes and batches are named by their numbers, whole and without separators, however long."""
    best = {"1": {"peak_accuracy": 72.7, "env_id": 15012, "episode": 1234567, "growth_ratio": 1.5}}
    sections = demo_sections() | {"best": best, "batch": {"batch_idx": 4321}}
    picture = drawn(of(sections, log=[line("T", 1.0, 15012, 1234567, "said")]), width, None)

    record, shown = (next(one for one in picture if words in one) for words in ("  1   72.7", "said"))
    assert record.split("72.7")[1].split()[:2] == ["15012", "1234567"]
    assert "env 15012 " in shown
    assert any("batch 4321 " in one for one in picture)


def test_the_arms_of_a_comparison() -> None:
    """Each arm has its environments; policy and batch are those of the arm that is looked at."""
    sections = with_envs(2, "A/") | with_envs(2, "B/")
    sections["B/policy"] = sections["B/policy"] | {"updates": 77}
    run = run_of(sections)

    assert [arm.name for arm in run.arms] == ["A", "B"]
    assert [env.label for env in run.envs] == ["A/0", "A/1", "B/0", "B/1"]
    assert "update 77" in "\n".join(drawn(of(sections, arm=1), 120, 40))


def test_nothing_is_there_yet() -> None:
    """A run of which nothing is known yet is a picture too."""
    picture = "\n".join(drawn(of({}), 80, 24))

    assert "no events" in picture
    assert "no update yet" in picture


def test_what_is_wrong_stands_in_the_last_line() -> None:
    """Dead letters, lost events, findings and notices are in the last line; lag is named."""
    run = run_of({}, parked=3, lost={"gap": 4}, last_id="5000-0", server_time_s=14.0)

    last = drawn(Screen(with_problem(run, "look here"), notices=("a warning",)), 200, 24)[-1]

    assert "dead letters 3" in last
    assert "lost 4" in last
    assert "! look here" in last
    assert "! a warning" in last
    assert "! 9.0 s behind; check `sanctum workers`" in last


def test_a_quiet_run() -> None:
    """A run that has not ended and has had no event for a minute is called quiet."""
    sections = {"run": {"status": "running", "started_at": 0.0, "last_event_at": 60.0}}

    assert "quiet for 2 min 5 s" in drawn(of(sections, age_s=125.0), 120, 24)[0]
    assert "running" in drawn(of(sections, age_s=5.0), 120, 24)[0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            *(
                "status",
                "inner_epoch",
                "episodes_completed",
                "max_epochs",
                "n_episodes",
                "devices",
                "slot_ids",
                "stage",
            ),
            *(
                "mean_accuracy",
                "mean_accuracy_history",
                "accuracy_history",
                "reward_history",
                "action_history",
                "1",
            ),
            *(
                "entropy",
                "entropy_history",
                "updates",
                "val_accuracy",
                "best_accuracy",
                "best_accuracy_epoch",
                "task",
            ),
            *(
                "started_at",
                "last_event_at",
                "germinated",
                "culled",
                "improvement_sum",
                "blueprint_id",
                "batch_idx",
            ),
        ]
    ),
    VALUES,
    max_size=8,
)
NAMES = st.sampled_from(
    [
        *(
            "run",
            "policy",
            "batch",
            "best",
            "env:0",
            "env:1",
            "env:x",
            "seed:0:r0c0",
            "seed:7:a%3Ab",
            "seed:0",
            "blueprint:x",
        ),
        *(
            "A/env:0",
            "A/policy",
            "A/seed:0:r0c0",
            "A/blueprint:%1B[1m",
            "event:T",
            ":",
            "/",
            "env:",
            "A/B/env:1",
        ),
    ]
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(NAMES, FIELDS, max_size=8), VALUES, VALUES)
def test_any_value_anywhere(sections: Sections, at: Any, env_id: Any) -> None:
    """Whatever stands in whatever field, the picture is drawn and fits, and nothing in it moves the cursor."""
    shown = of(sections, [line("T", at, env_id, at, "x")])

    for width, height in ((120, 40), (60, 16)):
        lines = drawn(shown, width, height)
        assert len(lines) <= height
        assert max(map(cell_len, lines)) <= width
        assert "\x1b" not in "".join(lines)
