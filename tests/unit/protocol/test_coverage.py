"""The report of the coverage counts."""

from sanctum_bus.protocol.coverage import report


def test_counts_become_a_report() -> None:
    """Events, fields, spellings and gaps are counted by type, and encoded names are decoded."""
    counts = {
        "T": 3,
        "T.loss": 2,
        "T.loss!": 1,
        "T.loss=T.Loss": 2,
        "A%2EB": 1,
        "A%2EB.x%21": 1,
    }

    first, second = report(counts)

    assert (first.type, first.events, [*first.fields]) == ("A.B", 1, ["x!"])
    assert (second.type, second.events) == ("T", 3)
    assert (second.emitted, second.captured, second.gap) == (1, 0, 1)
    loss = second.fields["loss"]
    assert (loss.seen, loss.gap, loss.spellings) == (3, 1, {("T", "Loss"): 2})


def test_a_field_without_a_gap_is_captured() -> None:
    """A field that was kept every time counts as captured."""
    (found,) = report({"T": 1, "T.a": 1})

    assert (found.emitted, found.captured, found.gap) == (1, 1, 0)
