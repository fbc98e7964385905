"""Modules and functions stay small enough to read at once."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE

#: The largest size of a module, in lines.
MAX_MODULE_LINES = 300

#: The largest size of a function, in lines, with its docstring and without its decorators.
MAX_FUNCTION_LINES = 40

SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".lua"})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    """A longer module has more than one subject: split it."""
    size = len(path.read_text().splitlines())

    assert size <= MAX_MODULE_LINES


def test_a_function_has_at_most_40_lines() -> None:
    """A longer function does more than one thing: split it."""
    sizes = {
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}
