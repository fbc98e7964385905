"""The tests run against the expected copy of the package."""

import os
import subprocess
import sys
from pathlib import Path

import sanctum_bus
from tests.support.paths import ROOT


def test_what_is_tested_is_what_was_asked_for() -> None:
    """`scripts/test --wheel` tests the installed wheel, also in child processes; otherwise the source tree is tested."""
    asked = os.environ.get("INSTALLED_UNDER")
    wanted = Path(asked) if asked else ROOT / "worker"
    code = "import sanctum_bus.cli; print(sanctum_bus.cli.__file__)"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert Path(sanctum_bus.__file__).is_relative_to(wanted)
    assert Path(there.strip()).is_relative_to(wanted)
