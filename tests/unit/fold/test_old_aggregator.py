"""The old aggregator's states on the same events: fields of the same meaning have the same values."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from sanctum_bus.fold.aggregate import Aggregate
from tests.support.old_aggregator.compare import COMPARED
from tests.support.old_aggregator.differences import DIFFERENT
from tests.support.old_aggregator.states import View
from tests.support.recordings import SHARED, Raw, Recording, recordings

#: Compared fields that are null in all recordings.
_ALWAYS_NULL = [
    "tamiyo.early_stop_epoch",
    "tamiyo.infrastructure.compile_backend",
    "tamiyo.infrastructure.compile_mode",
    "tamiyo.last_decision.chosen_slot",
    "tamiyo.lstm_c_l2_total",
    "tamiyo.lstm_h_l2_total",
]

#: Maps in an old state whose keys are environments or slots.
_BY_ID = ("envs", "envs.*.seeds")

_COMPARED_PATHS = {path for group in COMPARED for path in group.paths()}

#: Paths of maps that have compared fields.
_COMPARED_INSIDE = {path[:end] for path in _COMPARED_PATHS for end, sign in enumerate(path) if sign == "."}

with_old_states = [one for one in recordings() if one.has_old_states]

each_recording = pytest.mark.parametrize("recording", with_old_states, ids=lambda one: one.id)

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no recordings beside the repository")


class Compared(NamedTuple):
    """The result of comparing a recording's old states with ours.

    Args:
        different: descriptions of the differences.
        times: path -> number of comparisons.
        telling: path -> number of comparisons in which we have a value.
        paths: the path of every field of the old states.
    """

    different: list[str]
    times: Counter[str]
    telling: Counter[str]
    paths: set[str]


@cache
def compared(recording: Recording) -> Compared:
    """Fold a recording, and compare every row at each point that has an old state."""
    states: dict[int, list[Raw]] = defaultdict(list)
    for after, state in recording.old_states():
        states[after].append(state)
    found = Compared([], Counter(), Counter(), set())
    aggregate = Aggregate()
    for number, (entry_id, entry) in enumerate(recording.entries(), 1):
        aggregate.apply(entry_id, entry)
        for old in states[number]:
            _compare(View(recording.dialect, number, old, aggregate.state.sections), found)
            found.paths.update(paths_of(old))
    return found


def _compare(view: View, found: Compared) -> None:
    for group in COMPARED:
        for old, record in group.records(view):
            for path, (name, row) in zip(group.paths(), group.rows.items(), strict=True):
                if name in old:
                    difference = row.differs(old[name], record)
                    if difference:
                        found.different.append(f"after {view.events}: {path} {difference}")
                    found.times[path] += 1
                    found.telling[path] += row.value(record) is not None


def paths_of(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every field of an old state, as deep as the tables describe."""
    named = path in DIFFERENT or path in _COMPARED_PATHS
    if isinstance(value, dict) and (path in _COMPARED_INSIDE or not named):
        for key, inner in value.items():
            yield from paths_of(inner, f"{path}.{'*' if path in _BY_ID else key}".lstrip("."))
    elif value is not None or path not in _COMPARED_INSIDE:
        yield path


@each_recording
def test_the_old_aggregator_says_the_same(recording: Recording) -> None:
    """Each compared field of each old state has the value of ours."""
    different = compared(recording).different

    assert different[:20] == []
    assert len(different) == 0


@each_recording
def test_every_old_field_is_in_a_table(recording: Recording) -> None:
    """Each field of an old state is compared, or has a reason why not."""
    paths = compared(recording).paths

    assert sorted(paths - _COMPARED_PATHS - set(DIFFERENT)) == []


def test_a_field_is_in_one_table() -> None:
    """No field is both compared and listed with a reason."""
    assert sorted(_COMPARED_PATHS & set(DIFFERENT)) == []
    inside = [one for one in _COMPARED_PATHS for path in DIFFERENT if one.startswith(path + ".")]
    assert inside == []


@needs_shared
def test_every_row_is_compared() -> None:
    """Each row was compared with a value of ours, unless the value is null in every recording."""
    telling: Counter[str] = Counter()
    for recording in with_old_states:
        telling.update(compared(recording).telling)

    assert sorted(path for path in _COMPARED_PATHS if not telling[path]) == _ALWAYS_NULL


@needs_shared
def test_every_reason_is_needed() -> None:
    """Each path with a reason is in a recorded state."""
    paths = {
        path
        for recording in with_old_states
        for _, state in recording.old_states()
        for path in paths_of(state)
    }

    assert sorted(set(DIFFERENT) - paths) == []


def test_the_small_recordings_are_compared_after_every_event() -> None:
    """The repository has enough old states for thousands of comparisons."""
    found = [compared(recording) for recording in with_old_states if recording.name == "cifar10_2env_2round"]

    assert len(found) == 2
    assert sum(one.times.total() for one in found) > 20_000
