"""Where settings may come from besides options: the environment and one TOML file. What is nobody's is refused."""

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from sanctum_bus.errors import ConfigurationError

#: What every variable begins with.
PREFIX = "SANCTUM_"

#: Names the TOML file that is read.
CONFIG_VARIABLE = "SANCTUM_CONFIG"

#: Variables that are no settings: of the file itself, of the embedded server, and of the tests.
OTHER_VARIABLES = (CONFIG_VARIABLE, "SANCTUM_STATE_DIR", "SANCTUM_REDIS_SERVER", "SANCTUM_TEST_SERVERS")

# Families of them: passwords of a server's users, and what Kubernetes tells of services whose names begin so.
_OTHER_FAMILIES = re.compile(r"SANCTUM_(\w+_PASSWORD|(\w+_)?SERVICE_(HOST|PORT\w*)|(\w+_)?PORT_\d+_\w+)")


class Origin(NamedTuple):
    """Where a value comes from.

    Args:
        kind: option, environment, file, or default.
        where: the variable or the path.
    """

    kind: str
    where: str = ""

    def __str__(self) -> str:
        """As a sentence may have it: `environment SANCTUM_POLL_TIMEOUT_MS`."""
        return f"{self.kind} {self.where}".rstrip()


OPTION, DEFAULT = Origin("option"), Origin("default")


def trace(
    names: Collection[str], given: Iterable[str], environ: Mapping[str, str], path: str | None
) -> dict[str, Origin]:
    """Return where the value of each setting comes from; the first to speak wins: options, environment, file.

    Args:
        names: of all settings.
        given: names of those that were given as options.
        environ: the environment.
        path: of the file, if there is one.

    Raises:
        ConfigurationError: a name is no setting, or the file cannot be read.
    """
    options = dict.fromkeys(_known(given, names, "option ", str), OPTION)
    variables = {
        _setting(name): Origin("environment", name)
        for name, value in environ.items()
        if name.upper().startswith(PREFIX)
        and (_setting(name) in names or not _is_others(name.upper(), value))
    }
    _known(variables, names, "environment variable ", _variable)
    # One that is empty says nothing: that is how a shell takes a variable back for one command.
    variables = {name: origin for name, origin in variables.items() if environ[origin.where]}
    in_file = {name: Origin("file", path) for name in _read(path)} if path else {}
    _known(in_file, names, f"setting in {path}: ", str)
    return dict.fromkeys(names, DEFAULT) | in_file | variables | options


def _setting(variable: str) -> str:
    return variable[len(PREFIX) :].lower()


def _variable(setting: str) -> str:
    return f"{PREFIX}{setting.upper()}"


def _is_others(variable: str, value: str) -> bool:
    is_address = variable.endswith("PORT") and "://" in value
    return variable in OTHER_VARIABLES or is_address or _OTHER_FAMILIES.fullmatch(variable) is not None


def _known(
    found: Iterable[str], names: Collection[str], what: str, spelled: Callable[[str], str]
) -> list[str]:
    """Return the names that were found, if each is a setting's.

    Raises:
        ConfigurationError: one is not; the message names the nearest that is.
    """
    listed = list(found)
    for name in listed:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {spelled(near[0])}?" if near else "`sanctum config` lists all there are"
            raise ConfigurationError(f"unknown {what}{spelled(name)}: {hint}")
    return listed


def _read(path: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigurationError(f"{CONFIG_VARIABLE} names {path}, which is no file") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{CONFIG_VARIABLE} names {path}, which cannot be read: {error}") from None
