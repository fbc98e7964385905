"""All errors are in one tree, in one module, and the public ones can be imported from the package."""

import ast
import inspect
import subprocess
import sys

import sanctum_bus
from sanctum_bus import errors
from tests.support.paths import PACKAGE

#: Errors that callers of the public API can meet.
PUBLIC = (
    "ConfigurationError",
    "InvalidArgument",
    "SanctumError",
    "ServerNotFound",
    "ServerTooOld",
    "Unavailable",
    "UnknownRun",
    "UnknownSchema",
)

#: Exceptions outside the tree, each with its reason.
OUTSIDE = {
    (
        "cli/signals.py",
        "_Stopped",
    ): "control flow: derives from BaseException, so that no handler of errors stops it",
}


def test_every_error_is_a_sanctum_error() -> None:
    """One `except SanctumError` covers every error that Sanctum raises."""
    classes = [
        one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BaseException)
    ]

    assert [one.__name__ for one in classes if not issubclass(one, errors.SanctumError)] == []


def _exceptions_of(tree: ast.Module) -> set[str]:
    """Return the names of the classes of a module that derive from an exception, by the names of their bases."""
    ours = {
        name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BaseException)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if bases & (ours | found) or any(
                base.endswith(("Error", "Exception", "Interrupt")) for base in bases
            ):
                found.add(node.name)
    return found


def test_no_other_module_defines_an_error() -> None:
    """A reader of errors.py sees all of them."""
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "errors.py"
        for name in _exceptions_of(ast.parse(path.read_text()))
    }

    assert found == set(OUTSIDE)


def test_the_public_errors_are_in_the_package() -> None:
    """Callers import the errors that they can meet from `sanctum_bus`."""
    for name in PUBLIC:
        assert getattr(sanctum_bus, name) is getattr(errors, name)
        assert name in sanctum_bus.__all__


def test_errors_import_nothing_heavy() -> None:
    """Importing the package and its errors does not import redis-py."""
    code = "import sys; from sanctum_bus import SanctumError, UnknownRun; print('redis' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"
