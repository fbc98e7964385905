"""URLs: what a user may write, what Sanctum uses of it, and what it never shows."""

import subprocess
import sys
from typing import Any

import pytest

from sanctum_bus.connection import redacted
from sanctum_bus.connection.url import Address, Endpoint, Kind, parse
from sanctum_bus.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "scheme", "options"),
    [
        ("redis://localhost:6379/0", "redis", {"host": "localhost", "port": 6379, "db": 0}),
        ("unix:///run/redis.sock?db=3", "unix", {"path": "/run/redis.sock", "db": 3}),
        ("unix:///run/redis.sock", "unix", {"path": "/run/redis.sock", "db": 0}),
        (
            "rediss://me:secret@host/2?protocol=3&ssl_cert_reqs=none",
            "rediss",
            {
                "host": "host",
                "port": 6379,
                "db": 2,
                "username": "me",
                "password": "secret",
                "ssl_cert_reqs": "none",
            },
        ),
        (
            "redis://host/0?protocol=3&decode_responses=true&legacy_responses=false",
            "redis",
            {"host": "host", "port": 6379, "db": 0},
        ),
        ("redis://host/1?db=2", "redis", {"host": "host", "port": 6379, "db": 2}),
    ],
)
def test_a_url_is_kept_but_for_what_changes_replies(given: str, scheme: str, options: dict[str, Any]) -> None:
    """Options that would change the shape of replies are dropped; all others are passed on."""
    target = parse(given)

    assert (target.kind, target.endpoint) == (Kind.SINGLE, Endpoint(scheme, options))


def test_sentinels_have_users_of_their_own() -> None:
    """The user before the hosts is that of the primary; options name the user and the password of the sentinels."""
    target = parse(
        "rediss+sentinel://me:p%40ss@a,b:1,[::1]:2/the-master/3"
        "?sentinel_username=s&sentinel_password=x%2Fy&ssl_ca_certs=/ca.crt"
    )

    assert (target.kind, target.scheme, target.service) == (Kind.SENTINEL, "rediss", "the-master")
    assert target.seeds == (Address("a", 26379), Address("b", 1), Address("::1", 2))
    assert target.endpoint_at(Address("m", 7)).options == {
        "host": "m",
        "port": 7,
        "db": 3,
        "username": "me",
        "password": "p@ss",
        "ssl_ca_certs": "/ca.crt",
    }
    assert target.discovery_endpoint_at(target.seeds[2]).options == {
        "host": "::1",
        "port": 2,
        "db": 0,
        "username": "s",
        "password": "x/y",
        "ssl_ca_certs": "/ca.crt",
    }


def test_nodes_of_a_cluster_are_asked_as_they_are_used() -> None:
    """All nodes have the same users and options."""
    target = parse("redis+cluster://me:secret@a:1,b")
    second = target.seeds[1]

    assert target.kind is Kind.CLUSTER
    assert target.seeds == (Address("a", 1), Address("b", 6379))
    assert target.endpoint_at(second) == target.discovery_endpoint_at(second)
    assert target.endpoint_at(second).options == {
        "host": "b",
        "port": 6379,
        "db": 0,
        "username": "me",
        "password": "secret",
    }


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("", "missing scheme"),
        ("localhost:6379", "unsupported scheme"),
        ("http://localhost", "unsupported scheme 'http'"),
        ("redis+magic://host", r"unsupported scheme 'redis\+magic'"),
        ("redis://host:port/0", "the port must be a number"),
        ("redis://host:99999/0", "the port must be a number"),
        ("redis://a:1,b:2/0", r"takes one host; use redis\+sentinel"),
        ("redis://[host/0", "malformed authority"),
        ("redis://host/0?ssl_ca_certs=/ca.crt", "option ssl_ca_certs requires rediss://"),
        ("rediss://host/0?ssl_ca_cert=/ca.crt", "option ssl_ca_cert is unknown"),
        ("redis://host/0?color=red", "option color is unknown"),
        ("redis://host/0?connection_class=X", "option connection_class is unknown"),
        ("redis+sentinel://a:1,b:2", "missing Sentinel service name"),
        ("redis+sentinel://a:1/the-master/x", "database must be a non-negative integer"),
        ("redis://a:1/x", "database must be a non-negative integer"),
        ("redis://:half/hunter2@a:1/0", "in a password, write `/` as %2F"),
        ("redis+sentinel://a:1,/the-master", "a host is missing"),
        ("redis+sentinel://a:1/m?sentinel_color=red", "sentinel_color is unknown"),
        ("redis+cluster://", "a host is missing"),
        ("redis+cluster://a:1/2", "a cluster has database 0 only"),
        ("unix+cluster:///s", r"unsupported scheme 'unix\+cluster'"),
    ],
)
def test_what_is_no_url_is_refused(wrong: str, why: str) -> None:
    """The error gives the reason, and lists the supported forms."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        parse(wrong)

    for form in ("redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://"):
        assert form in str(caught.value)


@pytest.mark.parametrize("wrong", ["hunter2", "hunter2:x", "me:hunter2"])
def test_what_has_no_form_of_a_url_is_not_shown(wrong: str) -> None:
    """Text without a scheme may be a misplaced password."""
    with pytest.raises(ConfigurationError, match="not shown") as caught:
        parse(wrong)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("character", ["/", "?", "#", ":", "@", "\u2100"])
def test_no_error_shows_a_part_of_a_password(character: str) -> None:
    """An error quotes no part of a password, whatever character in it should have been escaped."""
    for url in (
        f"redis://me:hun{character}ter2@host/0?color=red",
        f"redis+cluster://me:hun{character}ter2@host:x",
    ):
        with pytest.raises(ConfigurationError) as caught:
            parse(url)

        assert "hun" not in str(caught.value)
        assert "ter2" not in str(caught.value)


def test_clients_can_be_made_without_hiredis() -> None:
    """A publisher's environment may have redis and msgpack alone."""
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
        ("redis://:se?cret@host", "redis://:***@host"),
        ("redis://:se#cret@host", "redis://:***@host"),
        ("unix:///s.sock?db=0&password=secret&x=1", "unix:///s.sock?db=0&password=***&x=1"),
        ("unix:///s.sock?password=se#cr@et", "unix:///s.sock?password=***"),
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
    """A URL in a message shows the user and never a password, wherever the password stands."""
    assert redacted(given) == shown
