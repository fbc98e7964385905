"""`sanctum doctor` and the permissions of its user; config/users.acl grants exactly what the code needs."""

import re
from pathlib import Path

import pytest
from redis import Redis

from sanctum_bus.ops.doctor.judge_servers import Rights
from sanctum_bus.ops.doctor.judge_servers import permissions as judged
from sanctum_bus.protocol import acl, scripts
from scripts import generate_docs
from tests.support.doctor import Diagnosis
from tests.support.paths import ROOT
from tests.support.servers import SUPPORTED, VALKEY_9, Server, ServerKind, StartServer

SCRIPTS = Path(scripts.__file__).parent
USERS = ROOT / "config" / "users.acl"


def add_users(client: Redis) -> None:
    """Add the project's own users to a server."""
    for line in USERS.read_text().splitlines()[1:]:
        client.execute_command("ACL", "SETUSER", *line.split()[1:])


def url_of(server: Server, user: str) -> str:
    """The URL for one of these users."""
    return server.url.replace("unix://", f"unix://{user}:change-me-{user}@")


def test_the_shipped_users_are_what_is_asked_for() -> None:
    """The file is generated from the table of roles; scripts/generate-docs writes it."""
    assert generate_docs.is_current("config/users.acl")


@pytest.mark.parametrize("name", [path.stem for path in SCRIPTS.glob("*.lua")])
def test_what_scripts_call_is_among_the_workers_rights(name: str) -> None:
    """A command that a script calls and its user may not would stop runs half-way: each is in the table."""
    called = re.findall(r"redis\.p?call\('(\w+)'(?:, '(\w+)')?", (SCRIPTS / f"{name}.lua").read_text())

    rules = {acl.rule_of(" ".join(words)) for words in called}

    assert rules - {*acl.WORKER.rules} == set()


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
def test_each_user_has_the_rights_of_its_role(kind: ServerKind, start_server: StartServer) -> None:
    """No user of the file lacks anything, nothing is written to find out, and what it may not look at is a note."""
    server = start_server(kind)
    client = server.client()
    add_users(client)

    found = {role.name: Diagnosis(url_of(server, role.name)) for role in acl.ROLES}

    for role, diagnosis in found.items():
        assert diagnosis.one("permissions").level == "ok", diagnosis.one("permissions").seen
        assert role in diagnosis.one("permissions").seen
        assert diagnosis.status == 0
    assert found["publisher"].one("eviction").remedy == "grant +info"
    assert found["worker"].one("slow log").remedy == "grant +slowlog|get"
    assert found["publisher"].one("owner").level == "note"
    assert client.keys() == []


@pytest.mark.parametrize(
    ("user", "rule", "level"),
    [
        ("publisher", "-xadd", "fault"),
        ("publisher", "-exec", "fault"),
        ("worker", "-xtrim", "warning"),
        ("worker", "-xgroup|create", "warning"),
        ("reader", "-xrange", "fault"),
        ("reader", "-ssubscribe", "fault"),
    ],
)
def test_a_missing_right_is_named(user: str, rule: str, level: str, start_server: StartServer) -> None:
    """One command that is missing is named, and the user whose it is: a fault where it fits no other role either."""
    server = start_server(VALKEY_9)
    client = server.client()
    add_users(client)
    client.execute_command("ACL", "SETUSER", user, rule)

    found = Diagnosis(url_of(server, user))

    assert found.status == 1
    said = [one for one in found.of("permissions") if f"as a {user} lacks" in one.seen]
    assert [one.level for one in said] == [level]
    assert said[0].seen == f"user {user} as a {user} lacks +{rule[1:]}"
    assert f"ACL SETUSER {user}" in said[0].remedy


def test_keys_of_another_prefix_are_refused(start_server: StartServer) -> None:
    """Permissions for other keys than Sanctum's do not count."""
    server = start_server(VALKEY_9)
    client = server.client()
    add_users(client)
    client.execute_command("ACL", "SETUSER", "publisher", "resetkeys", "~other:*")

    said = Diagnosis(url_of(server, "publisher")).one("permissions")

    assert said.level == "fault"
    assert said.seen == "user publisher as a publisher lacks +xadd +hset +zadd"


def test_without_transactions_the_rest_is_not_known() -> None:
    """A user without permission to read the permissions gets that single note."""
    lacking = {role.name: list(role.rules) for role in acl.ROLES}

    (verdict,) = judged(Rights("u", lacking | {"publisher": ["multi"]}))

    assert (
        verdict.seen == "user u as a publisher lacks +multi, without which the other rights cannot be checked"
    )
