"""Sentinel and Cluster deployments, started for one test each, and certificates for them."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.certificates import Certificates, make_certificates
from tests.support.topologies import Security
from tests.support.whole_way import USERS, Start

T = TypeVar("T")


@pytest.fixture(name="start")
def _start() -> Iterator[Start]:
    """Return a function that starts servers for the test: `start(Cluster, replicas=1)`."""
    with ExitStack() as stack:

        def begin(make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            return stack.enter_context(closing(make(*arguments, **options)))

        yield begin


@pytest.fixture(name="certificates", scope="session")
def _certificates() -> Iterator[Certificates]:
    """Certificates for 127.0.0.1."""
    with tempfile.TemporaryDirectory(prefix="st-") as home:
        yield make_certificates(Path(home))


@pytest.fixture(name="secured")
def _secured(certificates: Certificates) -> Security:
    """TLS, and the users of config/users.acl."""
    return Security(certificates, USERS)
