"""The systemd units: their commands exist, their dependencies are named, and they allow enough time to stop."""

import shlex
from pathlib import Path

import pytest

from sanctum_bus.cli.group import COMMANDS
from sanctum_bus.worker.settings import load
from tests.support.deploy_files import DEPLOY, unit

WORKER, SERVER = "sanctum-worker@.service", "sanctum-server.service"


def test_the_worker_unit_starts_a_command_that_there_is() -> None:
    """The last words of the command line are one of Sanctum's commands."""
    ((line,),) = [unit(WORKER)["ExecStart"]]
    program, command = shlex.split(line)

    assert Path(program).name == "sanctum"
    assert command in COMMANDS


def test_the_worker_unit_waits_for_a_notice_and_for_signs_of_life() -> None:
    """Systemd restarts a worker whose loop hangs, but not one that waits for a slow server."""
    told = unit(WORKER)
    settings = load()

    assert told["Type"] == ["notify"]
    assert told["NotifyAccess"] == ["main"]
    # One discovery step makes a few requests, each of which may take its whole timeout.
    assert int(told["WatchdogSec"][0]) >= 6 * settings.socket_timeout_s
    assert "AF_UNIX" in told["RestrictAddressFamilies"][0]


def test_the_worker_unit_gives_time_to_stop() -> None:
    """The worker is not killed before its own time for stopping is over, and comes back whatever ended it."""
    told = unit(WORKER)

    assert int(told["TimeoutStopSec"][0]) > load().shutdown_timeout_s
    assert told["Restart"] == ["always"]
    assert told["StartLimitIntervalSec"] == ["0"]


def test_the_server_unit_starts_what_the_readme_copies() -> None:
    """The script and files that the server's unit names are those of the repository, by their names."""
    ((line,),) = [unit(SERVER)["ExecStart"]]
    script, conf, acl, *rest = shlex.split(line)

    assert (DEPLOY / "server" / Path(script).name).exists()
    assert {Path(conf).name, Path(acl).name} == {"redis.conf", "users.acl"}
    assert rest == ["--dir", f"/var/lib/{unit(SERVER)['StateDirectory'][0]}"]


@pytest.mark.parametrize("name", [WORKER, SERVER])
def test_units_hold_no_password(name: str) -> None:
    """Passwords are in a file of root's that the unit names, never in the unit, which anybody may read."""
    told = unit(name)

    assert told["EnvironmentFile"][0].startswith("/etc/sanctum/")
    assert "Environment" not in told
