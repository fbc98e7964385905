"""Stream IDs: parse, compare, check."""

import pytest

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.protocol import stream_id


def test_ids_compare_as_numbers() -> None:
    """IDs compare by milliseconds and then by sequence number, not as text."""
    assert stream_id.less("9-0", "10-0")
    assert stream_id.less("10-9", "10-10")
    assert not stream_id.less("10-1", "10-1")


def test_the_time_of_an_id() -> None:
    """The first number of an ID is the server time in ms."""
    assert stream_id.milliseconds("1700000000123-7") == 1_700_000_000_123


@pytest.mark.parametrize(("text", "checked"), [("5", "5-0"), ("005-01", "5-1"), ("5-1", "5-1")])
def test_a_checked_id_is_complete(text: str, checked: str) -> None:
    """A checked ID has both numbers, without leading zeros."""
    assert stream_id.checked_id(text) == checked


@pytest.mark.parametrize("text", ["", "torn", "5-", "-5", "5-1-1", "5 ", "9" * 21])
def test_other_text_is_rejected(text: str) -> None:
    """A text that is not a stream ID is rejected, and the message shows the format."""
    assert not stream_id.is_id(text.encode())
    with pytest.raises(InvalidArgument, match="MILLISECONDS-SEQUENCE"):
        stream_id.checked_id(text)
