"""Distributions of the package, and environments that they are installed into.

    python -m tests.support.wheel DIRECTORY

makes an environment there with the wheel in it, and all that the suite needs besides.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT

#: What is installed beside the suite; environments borrow from it by links, so that nothing is fetched.
_INSTALLED = Path(pytest.__file__).parent.parent


class Built(NamedTuple):
    """What is handed out."""

    sdist: Path
    wheel: Path


def build(place: Path) -> Built:
    """Build the source distribution from the tree, and the wheel from the source distribution."""
    sdist = _build("sdist", ROOT, place)
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    return Built(sdist, _build("wheel", place / sdist.name.removesuffix(".tar.gz"), place))


def _build(target: str, source: Path, place: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(place)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (found,) = place.glob("*.tar.gz" if target == "sdist" else "*.whl")
    return found


def environment(place: Path, has: Callable[[str], bool]) -> Path:
    """Make an environment, and return its interpreter.

    Args:
        place: where; what is there goes.
        has: which of the suite's packages are in it, asked by the names that stand in `site-packages`; the project
            itself never is.
    """
    venv.EnvBuilder(clear=True, with_pip=False, symlinks=True).create(place)
    (packages,) = place.glob("lib/python*/site-packages")
    for one in _INSTALLED.iterdir():
        # Files that lead elsewhere are left out, for they would lead to the source tree.
        is_own = one.name.startswith(("sanctum_bus", "__")) or one.suffix == ".pth"
        if not is_own and has(one.name):
            (packages / one.name).symlink_to(one)
    return place / "bin" / "python"


def install(python: Path, what: str, *options: str) -> None:
    """Install a wheel; what it requires must be there already, for no index is asked."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    subprocess.run(
        [*command, "--quiet", "--no-index", "--no-compile", *options, what], check=True, capture_output=True
    )


def everything(_name: str) -> bool:
    """All that the suite has."""
    return True


def main(place: Path) -> None:
    """Make the environment that the suite runs in with `scripts/test --wheel`."""
    scratch = Path(tempfile.mkdtemp())
    try:
        install(environment(place, everything), f"{build(scratch).wheel}[embedded,metrics]")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
