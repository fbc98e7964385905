"""Every other type: a section with the last payload and a count."""

from typing import Any

import pytest

from tests.support.fold_run import FIRST_SECOND, Run


@pytest.mark.parametrize(
    ("event_type", "data", "section"),
    [
        ("CHECKPOINT_SAVED", {"path": "x"}, "event:CHECKPOINT_SAVED"),
        ("GOVERNOR_ROLLBACK", {"env_id": 1}, "event:GOVERNOR_ROLLBACK:1"),
        ("NEVER_HEARD_OF", {}, "event:NEVER_HEARD_OF"),
        ("NEVER_HEARD_OF", {"kind": "a"}, "event:NEVER_HEARD_OF.a"),
        ("NEVER_HEARD_OF", {"kind": None, "env_id": None}, "event:NEVER_HEARD_OF"),
        ("ANALYTICS_SNAPSHOT", {"kind": "throughput", "env_id": 3}, "event:ANALYTICS_SNAPSHOT.throughput:3"),
        ("ANALYTICS_SNAPSHOT", {"kind": "batch_stats"}, "event:ANALYTICS_SNAPSHOT.batch_stats"),
        ("PHASE_PROFILE_COMPLETED", {"env_id": 0}, "event:PHASE_PROFILE_COMPLETED:0"),
        ("SEED_OF_A_NEW_KIND", {"env_id": 0}, "event:SEED_OF_A_NEW_KIND:0"),
        ("NEVER_HEARD_OF", {"env_id": -1}, "event:NEVER_HEARD_OF"),
        ("NEVER_HEARD_OF", {"env_id": True}, "event:NEVER_HEARD_OF"),
        ("NEVER_HEARD_OF", {"env_id": "3"}, "event:NEVER_HEARD_OF"),
    ],
)
def test_the_section(event_type: str, data: dict[str, Any], section: str) -> None:
    """`event:<TYPE>`; with a kind `event:<TYPE>.<kind>`; with an `env_id` `…:<env_id>`; never parked for either."""
    run = Run()

    run.event(event_type, data)

    assert [name for name in run.sections if name.startswith("event:")] == [section]
    assert {name: run.section(section)[name] for name in data} == data
    assert run.parked() == []


def test_count_and_last_at() -> None:
    """`count` counts the events of the section, `last_at` is the event time of the last."""
    run = Run()

    for _ in range(3):
        run.event("OTHER", {"a": 1})
    run.event("OTHER", {"kind": "k"})

    assert (run.section("event:OTHER")["count"], run.section("event:OTHER")["last_at"]) == (
        3,
        FIRST_SECOND + 2,
    )
    assert run.section("event:OTHER.k")["count"] == 1


def test_the_count_outlasts_a_start() -> None:
    """A new start keeps `event:` sections and their counts."""
    run = Run()

    run.event("OTHER", {})
    run.start()
    run.event("OTHER", {})

    assert run.section("event:OTHER")["count"] == 2


def test_an_environment_does_not_come_into_being() -> None:
    """An event of another type creates no environment or seed, and starts no episode."""
    run = Run()

    run.event("GOVERNOR_ROLLBACK", {"env_id": 5}, slot_id="r0c0")

    assert sorted(run.sections) == ["event:GOVERNOR_ROLLBACK:5", "run"]


def test_too_many_sections() -> None:
    """At the limit of 65,536 sections, an event that needs a new section parks; a change of an existing one does not."""
    run = Run()

    for number in range(65_536):
        run.raw({b"type": b"OTHER", b"json": b'{"data":{"kind":"k%d"}}' % number})
    run.raw({b"type": b"OTHER", b"json": b'{"data":{"kind":"k0"}}'})

    assert len(run.sections) <= 65_536
    assert run.section("event:OTHER.k0")["count"] == 2
    assert len(run.parked()) >= 1
