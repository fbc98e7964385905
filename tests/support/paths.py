"""Paths of the repository."""

from pathlib import Path

#: The root of the repository.
ROOT = Path(__file__).resolve().parents[2]

#: The source of the package.
PACKAGE = ROOT / "worker" / "sanctum_bus"
