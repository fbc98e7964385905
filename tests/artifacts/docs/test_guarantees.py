"""Guarantees and security: every named test exists, and every promise, schedule and hazard has a row and tests."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT

PAGE = (ROOT / "docs/guarantees.md").read_text()
SECURITY = (ROOT / "docs/how-to/security.md").read_text()

#: The page without its appendix, and the appendix: an index of tests.
PROMISES, _, TESTS = PAGE.partition("\n## Appendix: tests\n")

#: Hazards (P1, P2, ...) and schedules (A1, A2, ...) on the page.
HAZARDS, SCHEDULES = 35, 18

#: Every ID: of events, snapshot, workers, publisher, reader, faults, schedules and hazards.
ID = r"^\| ([ESWBRFAP]\d+) \|"


def test_every_test_that_is_named_is_there() -> None:
    """Every test that the page names exists."""
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE + SECURITY))

    assert len(named) > HAZARDS
    assert sorted(f"{path}::{name}" for path, name in named if name not in _tests_in(path)) == []


def test_names_of_tests_are_whole() -> None:
    """Every test on the page is named in full, as pytest takes it: a file, two colons, a function."""
    for page in (PAGE, SECURITY):
        assert len(re.findall(r"`tests/[\w/]+\.py::test_\w+`", page)) == page.count("`tests/")


def test_every_id_has_one_row_and_its_tests() -> None:
    """Each list of IDs is complete and in order; the appendix has a row for each, with a test or "by design"."""
    ids = re.findall(ID, PROMISES, flags=re.MULTILINE)
    rows = [line for line in TESTS.splitlines() if re.match(ID, line)]

    for letter, count in (("P", HAZARDS), ("A", SCHEDULES)):
        assert [one for one in ids if one[0] == letter] == [f"{letter}{n}" for n in range(1, count + 1)]
    assert len(ids) == len(set(ids))
    assert re.findall(ID, TESTS, flags=re.MULTILINE) == ids
    assert [row for row in rows if not re.search(r"::test_|by design", row)] == []


def test_an_id_that_a_test_names_is_on_the_page() -> None:
    """A docstring that starts with an ID, such as `P22:` or `A7:`, names one that the page explains."""
    named = {
        one
        for path in (ROOT / "tests").rglob("test_*.py")
        for docstring in _tests_in(path).values()
        for one in re.findall(r"\b[ESWBRFAP]\d+\b", docstring.partition(":")[0])
    }

    assert named - set(re.findall(ID, PROMISES, flags=re.MULTILINE)) == set()
    assert sum(one[0] == "P" for one in named) > HAZARDS / 2


@cache
def _tests_in(path: str | Path) -> dict[str, str]:
    """The tests in a file, with their docstrings; none where there is no such file."""
    if not (ROOT / path).is_file():
        return {}
    functions = [
        node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)
    ]
    return {node.name: ast.get_docstring(node) or "" for node in functions if node.name.startswith("test_")}
