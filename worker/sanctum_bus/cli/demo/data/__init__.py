"""A real recording that is shipped with the package: 1,723 events of a training run with 4 environments and 4 batches."""

from importlib.resources import files
from pathlib import Path


def demo_recording() -> Path:
    """Return where the recording lies."""
    return Path(str(files(__name__).joinpath("demo.jsonl.gz")))
