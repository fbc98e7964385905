"""URLs: what a user may write, what of it is kept, and what is never shown."""

import pytest

from sanctum_bus.connection import clean_url, redacted
from sanctum_bus.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        (
            "redis://me:secret@host/2?protocol=3&ssl_cert_reqs=none",
            "redis://me:secret@host/2?ssl_cert_reqs=none",
        ),
        ("redis://host/0?protocol=3", "redis://host/0"),
    ],
)
def test_a_url_is_kept_but_for_what_changes_replies(given: str, used: str) -> None:
    """The option `protocol` would change the shape of replies; all else is the user's."""
    assert clean_url(given) == used


@pytest.mark.parametrize("wrong", ["localhost:6379", "http://localhost", ""])
def test_what_is_no_url_of_a_server_is_refused(wrong: str) -> None:
    """The refusal says how such a URL begins."""
    with pytest.raises(ConfigurationError, match="redis://"):
        clean_url(wrong)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis://me:secret@host:1/2", "redis://me:***@host:1/2"),
        ("redis://:secret@host:1/2", "redis://:***@host:1/2"),
        ("redis://:se:cr@et@host", "redis://:***@host"),
        ("unix:///s.sock?db=0&password=secret&x=1", "unix:///s.sock?db=0&password=***&x=1"),
        ("redis://host:6379/0", "redis://host:6379/0"),
    ],
)
def test_passwords_are_masked(given: str, shown: str) -> None:
    """A URL in a message shows who, never the password, wherever it stands."""
    assert redacted(given) == shown
