"""Fixtures of the command line tests."""

import pytest

from tests.support.commands import Run
from tests.support.servers import Server


@pytest.fixture(name="run")
def _run(valkey: Server) -> Run:
    """A run that is not there yet, on one real, empty server."""
    return Run(valkey.url)
