"""The origins of settings: options, the environment and one TOML file. Unknown names are rejected."""

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from sanctum_bus.errors import ConfigurationError

#: First part of the name of every variable.
PREFIX = "SANCTUM_"

#: The variable with the path of the TOML file.
CONFIG_VARIABLE = "SANCTUM_CONFIG"

#: Variables that are not settings: for the file itself, the embedded server, and the tests.
OTHER_VARIABLES = (CONFIG_VARIABLE, "SANCTUM_STATE_DIR", "SANCTUM_REDIS_SERVER", "SANCTUM_TEST_SERVERS")

# Further ones: passwords of the users of a server, and what Kubernetes sets for services with this prefix.
_OTHER_FAMILIES = re.compile(r"SANCTUM_(\w+_PASSWORD|(\w+_)?SERVICE_(HOST|PORT\w*)|(\w+_)?PORT_\d+_\w+)")


class Origin(NamedTuple):
    """The origin of a value.

    Args:
        kind: option, environment, file, or default.
        where: the variable or the path; "" for the other kinds.
    """

    kind: str
    where: str = ""

    def __str__(self) -> str:
        """Return the text for a message, such as `environment SANCTUM_POLL_TIMEOUT_MS`."""
        return f"{self.kind} {self.where}".rstrip()


OPTION, DEFAULT = Origin("option"), Origin("default")


def trace(
    names: Collection[str], given: Iterable[str], environ: Mapping[str, str], path: str | None
) -> dict[str, Origin]:
    """Return the origin of each setting. Options take precedence over the environment, and that over the file.

    Args:
        names: the names of all settings.
        given: the names of the settings that were given as options.
        environ: the environment.
        path: of the file, if there is one.

    Raises:
        ConfigurationError: a name is not a setting, or the file cannot be read.
    """
    options = dict.fromkeys(_check_known(given, names, "option ", str), OPTION)
    variables = {
        _setting(name): Origin("environment", name)
        for name, value in environ.items()
        if name.upper().startswith(PREFIX)
        and (_setting(name) in names or not _is_foreign(name.upper(), value))
    }
    _check_known(variables, names, "environment variable ", _variable)
    # An empty variable counts as unset: so a shell can unset a variable for one command.
    variables = {name: origin for name, origin in variables.items() if environ[origin.where]}
    in_file = {name: Origin("file", path) for name in _read(path)} if path else {}
    _check_known(in_file, names, f"setting in {path}: ", str)
    return dict.fromkeys(names, DEFAULT) | in_file | variables | options


def _setting(variable: str) -> str:
    return variable[len(PREFIX) :].lower()


def _variable(setting: str) -> str:
    return f"{PREFIX}{setting.upper()}"


def _is_foreign(variable: str, value: str) -> bool:
    is_address = variable.endswith("PORT") and "://" in value
    return variable in OTHER_VARIABLES or is_address or _OTHER_FAMILIES.fullmatch(variable) is not None


def _check_known(
    found: Iterable[str], names: Collection[str], what: str, spelled: Callable[[str], str]
) -> list[str]:
    """Return the names, if each is a setting.

    Raises:
        ConfigurationError: a name is not a setting; the message has the closest valid name.
    """
    listed = list(found)
    for name in listed:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {spelled(near[0])}?" if near else "`sanctum config` lists all settings"
            raise ConfigurationError(f"unknown {what}{spelled(name)}: {hint}")
    return listed


def _read(path: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigurationError(f"{CONFIG_VARIABLE}: file not found: {path}") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{CONFIG_VARIABLE}: {path} cannot be read: {error}") from None
