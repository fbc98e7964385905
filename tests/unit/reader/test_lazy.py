"""Sections of a snapshot are decoded on first use, and behave like any mapping."""

import copy
import json
import pickle

import pytest

from sanctum_bus.reader.lazy import Sections
from sanctum_bus.reader.models import Snapshot

#: Fields that cannot be decoded: a name without a text.
BROKEN = [b"name"]


def _sections(**more: list[bytes]) -> Sections:
    return Sections({"run": [b"task", b"cifar10", b"starts", b"1"], **more})


def test_a_section_is_decoded_when_it_is_asked_for() -> None:
    """A section is decoded when it is read, and only the first time."""
    sections = _sections(broken=BROKEN)

    assert sections["run"] == {"task": "cifar10", "starts": 1}
    assert sections["run"] is sections["run"]
    assert (list(sections), len(sections), "broken" in sections, "env:0" in sections) == (
        ["run", "broken"],
        2,
        True,
        False,
    )
    with pytest.raises(ValueError, match="zip"):
        sections["broken"]
    with pytest.raises(KeyError):
        sections["env:0"]
    assert sections.get("env:0", {}) == {}


def test_it_is_a_mapping_like_any_other() -> None:
    """Sections equal, print, copy, pickle and convert to JSON like the decoded mapping."""
    whole = {"run": {"task": "cifar10", "starts": 1}}

    assert _sections() == whole == _sections()
    assert _sections() != {}
    assert repr(_sections()) == repr(whole)
    assert copy.deepcopy(_sections()) == pickle.loads(pickle.dumps(_sections())) == whole  # noqa: S301  # our own
    assert json.loads(json.dumps(dict(_sections()))) == whole


def test_a_newer_view_over_an_older_one_decodes_nothing() -> None:
    """Changed sections replace older ones, deleted ones are dropped, and the others are taken over undecoded."""
    older = Snapshot("r", sections=Sections({"a": BROKEN, "b": {"n": 1}, "gone": BROKEN}))
    newer = Snapshot(
        "r", sections=Sections({"b": [b"n", b"2"], "c": BROKEN}), names=frozenset({"a", "b", "c"})
    )

    whole = newer.merged_onto(older).sections

    assert set(whole) == {"a", "b", "c"}
    assert whole["b"] == {"n": 2}


def test_views_of_plain_maps_go_together_too() -> None:
    """Snapshots that were built from plain maps merge like those that were read."""
    older = Snapshot("r", sections={"a": {"n": 1}, "b": {"n": 1}})
    newer = Snapshot("r", sections={"b": {"n": 2}}, names=frozenset({"a", "b"}))

    assert newer.merged_onto(older).sections == {"a": {"n": 1}, "b": {"n": 2}}
