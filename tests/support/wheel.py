"""Distributions of the package, and environments that they are installed into.

    python -m tests.support.wheel DIRECTORY

creates an environment in DIRECTORY with the wheel and everything that the tests need.
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

#: The installed packages. New environments link to them, so that nothing is downloaded.
_INSTALLED = Path(pytest.__file__).parent.parent


class Built(NamedTuple):
    """Both distributions."""

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
    """Create an environment, and return its interpreter.

    Args:
        place: directory of the environment; existing files are deleted.
        has: returns whether the environment includes an installed package, by its name in `site-packages`. The project
            itself is never included.
    """
    venv.EnvBuilder(clear=True, with_pip=False, symlinks=True).create(place)
    (packages,) = place.glob("lib/python*/site-packages")
    for one in _INSTALLED.iterdir():
        # A .pth file would add the source tree to the path.
        is_own = one.name.startswith(("sanctum_bus", "__")) or one.suffix == ".pth"
        if not is_own and has(one.name):
            (packages / one.name).symlink_to(one)
    return place / "bin" / "python"


def install(python: Path, what: str, *options: str) -> None:
    """Install a wheel without an index: its requirements must be installed already."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    subprocess.run(
        [*command, "--quiet", "--no-index", "--no-compile", *options, what], check=True, capture_output=True
    )


def everything(_name: str) -> bool:
    """Include every installed package."""
    return True


def main(place: Path) -> None:
    """Create the environment for `scripts/test --wheel`."""
    scratch = Path(tempfile.mkdtemp())
    try:
        install(environment(place, everything), f"{build(scratch).wheel}[embedded,metrics]")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
