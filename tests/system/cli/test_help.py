"""The help: it comes at once, and it shows how each command is used."""

import importlib
import inspect
import subprocess
import sys

import pytest

from sanctum_bus import __version__
from sanctum_bus.cli.group import COMMANDS
from sanctum_bus.protocol.entry import WIRE_VERSION
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from tests.support.commands import environment, sanctum

#: Modules that take longer to load than help may take.
HEAVY = {"rich", "pydantic", "pydantic_settings", "msgspec", "structlog"}


def test_help_loads_nothing_heavy() -> None:
    """Help is there at once: it loads none of what the commands need."""
    code = (
        "import sys, sanctum_bus.cli\n"
        "sys.argv = ['sanctum', '--help']\n"
        "try:\n    sanctum_bus.cli.main()\nexcept SystemExit:\n    pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )

    assert done.stderr.strip() == "[]"
    assert "Commands:" in done.stdout


def test_help_lists_every_command() -> None:
    """Help names every command, and ends with examples."""
    ran = sanctum("--help")

    assert ran.status == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in ran.out] == []
    assert "Examples:\n    sanctum demo" in ran.out


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_has_help(name: str) -> None:
    """The help of each command has a sentence and examples."""
    ran = sanctum(name, "--help")

    assert ran.status == 0
    assert ran.out.startswith(f"Usage: sanctum {name} ")
    assert f"\n    sanctum {name}" in ran.out


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_list_repeats_the_first_line_of_the_help(name: str) -> None:
    """`sanctum --help` imports no command, so its table repeats the first sentence of each command's docstring."""
    module = importlib.import_module(f"sanctum_bus.cli.{COMMANDS[name].module}")

    assert (inspect.getdoc(module.command) or "").partition("\n\n")[0].replace("\n", " ") == COMMANDS[
        name
    ].help


def test_the_short_help_is_help() -> None:
    """`-h` is `--help`."""
    assert sanctum("-h").out == sanctum("--help").out


def test_version() -> None:
    """`--version` prints the versions of package, protocol and schema, each from its one place, and nothing else."""
    ran = sanctum("--version")

    assert (ran.status, ran.out) == (
        0,
        f"sanctum {__version__} (protocol {WIRE_VERSION}, schema {SCHEMA_VERSION})\n",
    )


@pytest.mark.parametrize(
    "args",
    [
        ["nosuch"],
        ["show"],
        ["show", "r", "--nosuch"],
        ["publish", "x.jsonl"],
        ["publish", "x.jsonl", "--run", "r", "--speed", "0"],
        ["publish", "x.jsonl", "--run", "r", "--speed", "fast"],
        ["publish", "x.jsonl", "--run", "r", "--speed", "inf"],
        ["log", "r", "-n", "-1"],
        ["server", "--port", "70000"],
        ["worker", "--run", "r"],
        ["log", "r", "--after", "1-0", "-n", "3"],
        ["log", "r", "--after", "1-0", "-n", "20"],
        ["show", "r", "--strict"],
        ["fold", "x.jsonl", "--strict"],
        ["demo", "--once", "--speed", "fast"],
        ["coverage"],
        ["coverage", "r", "--file", "x.jsonl"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(args: list[str]) -> None:
    """An invalid command line exits with status 2 and the reason, without a traceback."""
    ran = sanctum(*args)

    assert ran.status == 2
    assert "Error: " in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
