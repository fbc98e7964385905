"""Coverage: which fields of which event types were seen, and how often."""

from tests.support.fold_run import Run


def test_events_and_fields_are_counted() -> None:
    """`<TYPE>` counts the events of a type, `<TYPE>.<field>` the events that had the field, null included."""
    run = Run()

    run.event("OTHER", {"a": 1, "b": None})
    run.event("OTHER", {"a": 2})

    assert run.coverage() == {"OTHER": 2, "OTHER.a": 2, "OTHER.b": 1}


def test_canonical_names() -> None:
    """Types and fields are counted under their canonical names; the emitted spelling is counted beside them."""
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
    """The fields of an event that was parked were seen too: `<TYPE>.<field>!`."""
    run = Run()

    run.event("EPOCH_COMPLETED", {"env_id": 0, "val_accuracy": "high"})

    coverage = run.coverage()
    assert coverage["EPOCH_COMPLETED.val_accuracy!"] == 1
    assert coverage["EPOCH_COMPLETED.env_id!"] == 1
    assert not [name for name in coverage if "." in name and not name.endswith("!")]


def test_coverage_outlasts_a_start() -> None:
    """Coverage stays over a new start."""
    run = Run()

    run.event("OTHER", {"a": 1})
    run.start()
    run.event("OTHER", {"a": 1})

    assert run.coverage()["OTHER.a"] == 2


def test_duplicates_are_not_counted() -> None:
    """An entry that is not folded a second time is not counted a second time."""
    run = Run()

    run.event("OTHER", {"a": 1}, producer="p", seq=1)
    run.event("OTHER", {"a": 1}, producer="p", seq=1)

    assert run.coverage() == {"OTHER": 1, "OTHER.a": 1}


def test_fields_of_another_rank() -> None:
    """The start of another rank is seen like any other event."""
    run = Run()

    run.start({"rank": 1, "lr": 0.1})

    assert run.coverage()["TRAINING_STARTED.lr"] == 1
