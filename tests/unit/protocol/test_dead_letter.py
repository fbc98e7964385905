"""The layout of a dead letter."""

import pytest

from sanctum_bus.protocol import dead_letter


@pytest.mark.parametrize("count", [0, 1, 1000, 1001])
def test_an_entry_survives(count: int) -> None:
    """A dead letter returns the exact fields of its entry, for any number of fields."""
    entry = {f"f{number}".encode(): bytes([number % 256, 0]) for number in range(count)}

    flat = dead_letter.to_fields("5-1", "no type", entry)
    stored = {
        name.encode() if isinstance(name, str) else name: value
        for name, value in zip(flat[::2], flat[1::2], strict=True)
    }

    assert (stored[b"source_id"], stored[b"reason"]) == ("5-1", "no type")
    assert dead_letter.raw_of(stored) == entry
    # A server has a limit on the arguments of one command.
    assert len(flat) <= 2 * (2 + 1000)
