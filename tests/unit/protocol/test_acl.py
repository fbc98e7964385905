"""The commands and keys that each part of Sanctum needs."""

import pytest

from sanctum_bus.protocol.acl import ROLES, call_of, rule_of
from sanctum_bus.protocol.keys import RunKeys


@pytest.mark.parametrize(
    ("sample", "rule"),
    [("PING", "ping"), ("XADD events * a 1", "xadd"), ("XINFO STREAM events", "xinfo|stream")],
)
def test_the_rule_of_a_command(sample: str, rule: str) -> None:
    """A command with subcommands is permitted by subcommand, any other by its name."""
    assert rule_of(sample) == rule


def test_each_role_lists_a_command_once() -> None:
    """A role lists no command twice."""
    assert all(len(role.rules) == len(set(role.rules)) for role in ROLES)


def test_a_sample_becomes_a_call() -> None:
    """The names of keys in a sample stand for the keys of a run; other words stay."""
    assert call_of("ZRANGE runs 0 0", RunKeys("r", "p")) == ["ZRANGE", "p:runs", "0", "0"]
    assert call_of("HLEN none", RunKeys("r", "p")) == ["HLEN", "p:{r}:none"]
