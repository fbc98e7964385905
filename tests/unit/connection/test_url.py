"""URLs: what a user may write, what of it is kept, and what is never shown."""

import subprocess
import sys

import pytest

from sanctum_bus.connection import redacted
from sanctum_bus.connection.url import Address, Kind, parse
from sanctum_bus.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        (
            "rediss://me:secret@host/2?protocol=3&ssl_cert_reqs=none",
            "rediss://me:secret@host/2?ssl_cert_reqs=none",
        ),
        ("redis://host/0?protocol=3&decode_responses=true&legacy_responses=false", "redis://host/0"),
    ],
)
def test_a_url_is_kept_but_for_what_changes_replies(given: str, used: str) -> None:
    """Options that would change the shape of replies go; all else is the user's."""
    target = parse(given)

    assert (target.kind, target.plain) == (Kind.SINGLE, used)


def test_sentinels_have_users_of_their_own() -> None:
    """What stands before the hosts is for the master; the sentinels' user and password are options."""
    target = parse(
        "rediss+sentinel://me:p%40ss@a,b:1,[::1]:2/the-master/3"
        "?sentinel_username=s&sentinel_password=x%2Fy&ssl_ca_certs=/ca.crt"
    )

    assert target.kind is Kind.SENTINEL
    assert target.service == "the-master"
    assert target.seeds == (Address("a", 26379), Address("b", 1), Address("::1", 2))
    assert target.at(Address("m", 7)) == "rediss://me:p%40ss@m:7/3?ssl_ca_certs=%2Fca.crt"
    assert target.asked_at(target.seeds[2]) == "rediss://s:x%2Fy@[::1]:2/0?ssl_ca_certs=%2Fca.crt"


def test_nodes_of_a_cluster_are_asked_as_they_are_used() -> None:
    """All nodes have the same users and options."""
    target = parse("redis+cluster://me:secret@a:1,b")

    assert target.kind is Kind.CLUSTER
    assert target.seeds == (Address("a", 1), Address("b", 6379))
    assert target.at(target.seeds[1]) == target.asked_at(target.seeds[1]) == "redis://me:secret@b:6379/0"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "no redis:// in front"),
        ("localhost:6379", "begins with another word"),
        ("http://localhost", "begins with another word"),
        ("redis+magic://host", "begins with another word"),
        ("redis://host:port/0", "Port could not be cast"),
        ("redis://host/0?ssl_ca_certs=/ca.crt", "the option ssl_ca_certs needs rediss://"),
        ("rediss://host/0?ssl_ca_cert=/ca.crt", "the option ssl_ca_cert needs"),
        ("redis://host/0?colour=red", "the option colour is unknown"),
        ("redis+sentinel://a:1,b:2", "what the sentinels call the master"),
        ("redis+sentinel://a:1/the-master/x", "no number of a database"),
        ("redis://a:1/x", "no number of a database"),
        ("redis://:half/hunter2@a:1/0", "in a password `/` is written %2F"),
        ("redis+sentinel://a:1,/the-master", "a host is missing"),
        ("redis+sentinel://a:1/m?sentinel_colour=red", "sentinel_colour is unknown"),
        ("redis+cluster://", "a host is missing"),
        ("redis+cluster://a:1/2", "a cluster has no databases"),
        ("unix+cluster:///s", "leads to one server only"),
    ],
)
def test_what_is_no_url_is_refused(wrong: str, why: str) -> None:
    """The refusal says what is wrong, and what URLs look like."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        parse(wrong)

    for form in ("redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://"):
        assert form in str(caught.value)


def test_what_has_no_form_of_a_url_is_not_shown() -> None:
    """It may be a password that went astray."""
    with pytest.raises(ConfigurationError, match="what was given is no URL") as caught:
        parse("hunter2")

    assert "hunter2" not in str(caught.value)


def test_clients_can_be_made_without_hiredis() -> None:
    """An environment that publishes may have redis and msgpack alone."""
    made = "from sanctum_bus.connection import connect, connect_async; connect('redis://x'); connect_async('redis://x')"
    code = f"import sys; sys.modules['hiredis'] = None; {made}"

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis://me:secret@host:1/2", "redis://me:***@host:1/2"),
        ("redis://:secret@host:1/2", "redis://:***@host:1/2"),
        ("redis://:se:cr@et@host", "redis://:***@host"),
        ("redis://:se/cret@host", "redis://:***@host"),
        ("unix:///s.sock?db=0&password=secret&x=1", "unix:///s.sock?db=0&password=***&x=1"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        (
            "redis+sentinel://me:secret@a:1,b:2/m?sentinel_username=u&sentinel_password=hidden",
            "redis+sentinel://me:***@a:1,b:2/m?sentinel_username=u&sentinel_password=***",
        ),
        (
            "rediss+cluster://:secret@a:1,b:2?ssl_password=hidden",
            "rediss+cluster://:***@a:1,b:2?ssl_password=***",
        ),
    ],
)
def test_passwords_are_masked(given: str, shown: str) -> None:
    """A URL in a message shows who, never the password, wherever it stands."""
    assert redacted(given) == shown
