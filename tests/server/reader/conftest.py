"""The two readers, and runs that they read."""

from collections.abc import Iterator

import pytest

from tests.support.reader_runs import Training
from tests.support.readers import Shell, Shells
from tests.support.servers import Server


@pytest.fixture(name="shells", params=["sync", "async"])
def _shells(request: pytest.FixtureRequest) -> Iterator[Shells]:
    """Each kind of reader in turn."""
    shells = Shells(request.param)
    yield shells
    shells.close()


@pytest.fixture(name="training")
def _training(valkey: Server) -> Training:
    """A run on one real server."""
    return Training(valkey)


@pytest.fixture(name="reader")
def _reader(shells: Shells, valkey: Server) -> Shell:
    """Each kind of reader in turn, for that server."""
    return shells.open(valkey.url)
