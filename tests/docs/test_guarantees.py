"""The pages of guarantees and of security are maps: every test that they name is there, every hazard has its row."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/guarantees.md").read_text()
SECURITY = (ROOT / "docs/how-to/security.md").read_text()

#: Hazards on the list, numbered from 1.
HAZARDS = 35


def test_every_test_that_is_named_is_there() -> None:
    """A promise whose test was renamed or deleted is a promise that nobody keeps an eye on."""
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE + SECURITY))

    assert len(named) > HAZARDS
    assert sorted(f"{path}::{name}" for path, name in named if name not in _tests_in(path)) == []


def test_names_of_tests_are_whole() -> None:
    """What begins like the name of a test is one in full, as pytest takes it: a file, two colons, a function."""
    for page in (PAGE, SECURITY):
        assert len(re.findall(r"`tests/[\w/]+\.py::test_\w+`", page)) == page.count("`tests/")


def test_every_hazard_has_one_row() -> None:
    """The numbers are a list without holes and without repetition, in order."""
    numbers = [int(number) for number in re.findall(r"^\| P(\d+) \|", PAGE, flags=re.MULTILINE)]

    assert numbers == list(range(1, HAZARDS + 1))


def test_every_row_has_an_answer() -> None:
    """A row of promises or hazards names a test, says why none is needed, or says that it is future work."""
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith("|---")]
    bare = [row for row in rows if not re.search(r"::test_|by design|Not yet", row)]

    assert [row for row in bare if not _is_head(row) and not re.match(r"\| `[\w ]+` \|", row)] == []


def test_a_hazard_that_a_test_names_is_on_the_list() -> None:
    """A docstring that names a hazard by number names one that the page explains."""
    named = {
        int(number)
        for path in (ROOT / "tests").rglob("test_*.py")
        for docstring in _tests_in(path).values()
        for number in re.findall(r"\bP(\d+)\b", docstring.partition(":")[0])
    }

    assert named <= set(range(1, HAZARDS + 1))
    assert len(named) > HAZARDS / 2


def _is_head(row: str) -> bool:
    return row.split("|")[1].strip() in {"promise", "fault", "hazard", "reason"}


@cache
def _tests_in(path: str | Path) -> dict[str, str]:
    """The tests in a file, with their docstrings; none where there is no such file."""
    if not (ROOT / path).is_file():
        return {}
    functions = [
        node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)
    ]
    return {node.name: ast.get_docstring(node) or "" for node in functions if node.name.startswith("test_")}
