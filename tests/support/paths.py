"""Where the files of the repository are."""

from pathlib import Path

#: The root of the repository.
ROOT = Path(__file__).resolve().parents[2]

#: The package's source.
PACKAGE = ROOT / "worker" / "sanctum_bus"
