"""Coverage: which fields of which event types were seen, and how often."""

from tests.support.fold_run import Run


def test_events_and_fields_are_counted() -> None:
    """`<TYPE>` counts the events of a type, `<TYPE>.<field>` the events that had the field, null included."""
    run = Run()

    run.event("OTHER", {"a": 1, "b": None})
    run.event("OTHER", {"a": 2})

    assert run.coverage() == {"OTHER": 2, "OTHER.a": 2, "OTHER.b": 1}


def test_canonical_names() -> None:
    """Types and fields are counted under their canonical names, and other spellings in a count of their name."""
    run = Run()

    run.seed("PRUNED", reason="x", epochs_in_stage=3)

    assert run.coverage() == {
        "SEED_CULLED": 1,
        "SEED_CULLED.env_id": 1,
        "SEED_CULLED.env_id=SEED_PRUNED.env_id": 1,
        "SEED_CULLED.reason": 1,
        "SEED_CULLED.reason=SEED_PRUNED.reason": 1,
        "SEED_CULLED.epochs_in_previous_stage": 1,
        "SEED_CULLED.epochs_in_previous_stage=SEED_PRUNED.epochs_in_stage": 1,
    }


def test_what_parked_is_marked() -> None:
    """The fields of a parked event are counted as `<TYPE>.<field>!`."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": "high"})

    coverage = run.coverage()
    assert coverage["EPOCH_COMPLETED.val_accuracy!"] == 1
    assert coverage["EPOCH_COMPLETED.env_id!"] == 1
    assert not [name for name in coverage if "." in name and not name.endswith("!")]


def test_coverage_outlasts_a_start() -> None:
    """A new start keeps the coverage."""
    run = Run()

    run.event("OTHER", {"a": 1})
    run.start()
    run.event("OTHER", {"a": 1})

    assert run.coverage()["OTHER.a"] == 2


def test_duplicates_are_not_counted() -> None:
    """A duplicate is not counted."""
    run = Run()

    run.event("OTHER", {"a": 1}, producer="p", seq=1)
    run.event("OTHER", {"a": 1}, producer="p", seq=1)

    assert run.coverage() == {"OTHER": 1, "OTHER.a": 1}


def test_fields_of_another_rank() -> None:
    """The start of another rank is counted like any other event."""
    run = Run()

    run.start({"rank": 1, "lr": 0.1})

    assert run.coverage()["TRAINING_STARTED.lr"] == 1
