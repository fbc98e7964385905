"""Keys of another type than they should be, as commands tell of them: one run in trouble hides no other."""

import pytest

from sanctum_bus.protocol.keys import RunKeys
from tests.support.commands import SMALL, Run
from tests.support.servers import Server

RUN = RunKeys("spoilt")


@pytest.fixture(name="spoilt")
def _spoilt(valkey: Server) -> Run:
    """A run, beside a good one."""
    for name in ("good", RUN.run_id):
        Run(valkey.url, name).play(SMALL[0].path)
    return Run(valkey.url, RUN.run_id)


def spoil(server: Server, name: str) -> str:
    """Put a string where a key of the run belongs, and return the key."""
    key = RUN.base + name
    server.client().delete(key)
    server.client().set(key, "x")
    return key


@pytest.mark.parametrize("name", ["checkpoint", "events"])
def test_one_run_hides_no_other(spoilt: Run, valkey: Server, name: str) -> None:
    """The list of runs has a row for the run that cannot be read, with the reason, and all rows of the others."""
    key = spoil(valkey, name)

    shown, told = spoilt.good("runs"), spoilt.good("runs", "--json").json_lines

    rows = {line.split()[0]: line for line in shown.out.splitlines() if line.startswith(("good", "spoilt"))}
    assert " ended " in rows["good"]
    assert " unreadable " in rows["spoilt"]
    assert shown.err.startswith(f"sanctum: run spoilt cannot be read: {key} has type string, expected ")
    found = {one["run_id"]: one for one in told}
    assert found["good"]["state"] == "ended"
    assert "error" not in found["good"]
    assert {*found["spoilt"]} == {"run_id", "last_activity", "state", "error"}
    assert f"sanctum: {found['spoilt']['error']}\n" == shown.err


@pytest.mark.parametrize("name", ["batch", "env:0", "run", "sections", "coverage", "log"])
def test_what_the_list_does_not_need_does_not_keep_it_from_its_row(
    spoilt: Run, valkey: Server, name: str
) -> None:
    """The list of runs looks at checkpoints alone."""
    spoil(valkey, name)

    found = {one["run_id"]: one for one in spoilt.good("runs", "--json").json_lines}

    assert (found["spoilt"]["state"], found["good"]["state"]) == ("ended", "ended")


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("batch", ["show", "spoilt"]),
        ("batch", ["show", "spoilt", "--since", "0-0", "--json"]),
        ("log", ["show", "spoilt"]),
        ("log", ["log", "spoilt"]),
        ("log", ["log", "spoilt", "--after", "0-0"]),
        ("dead", ["dead-letters", "spoilt"]),
        ("dead", ["dead-letters", "spoilt", "--requeue", "all"]),
        ("dead", ["dead-letters", "spoilt", "--delete", "all", "--yes"]),
        ("coverage", ["coverage", "spoilt"]),
        ("events", ["show", "spoilt"]),
        ("events", ["rebuild", "spoilt", "--yes"]),
        ("checkpoint", ["rebuild", "spoilt", "--yes"]),
        ("events", ["worker", "--drain", "--run", "spoilt"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_commands_name_the_key(spoilt: Run, valkey: Server, name: str, args: list[str]) -> None:
    """A command that fails because of a key's type names the key, its type and the remedy, and prints nothing else."""
    key = spoil(valkey, name)

    ran = spoilt.sanctum(*args)

    assert (ran.status, ran.out) == (1, "")
    assert f"{key} has type string, expected " in ran.err
    assert (
        "sanctum rebuild spoilt" if name not in {"events", "checkpoint"} else "rename or delete"
    ) in ran.err
    assert "spoilt" in ran.err
    assert "WRONGTYPE" not in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("nissa:runs", "runs"),
        ("nissa:runs", "rm"),
        ("nissa:workers", "workers"),
        ("nissa:workers:state", "workers"),
    ],
)
def test_keys_of_all_runs_are_named(spoilt: Run, valkey: Server, key: str, command: str) -> None:
    """So is a key that no run owns."""
    valkey.client().delete(key)
    valkey.client().set(key, "x")

    ran = spoilt.sanctum(command, *(("spoilt", "--yes") if command == "rm" else ()))

    assert ran.status == 1
    assert f"{key} has type string, expected " in ran.err
    assert "rename or delete it" in ran.err


@pytest.mark.parametrize("name", ["batch", "checkpoint", "events", "dead"])
def test_it_can_be_removed(spoilt: Run, valkey: Server, name: str) -> None:
    """A run that cannot be read is removed like any other, the key of the wrong type too."""
    spoil(valkey, name)

    spoilt.good("rm", "spoilt", "--yes")

    assert valkey.client().keys(f"{RUN.base}*") == []
