"""The Prometheus client is an extra: a worker needs it only to serve metrics."""

import importlib
import sys

import pytest

from sanctum_bus.errors import ConfigurationError


@pytest.fixture(name="without_client")
def _without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the import of the Prometheus client fail."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in ("sanctum_bus.worker.metrics.http", "sanctum_bus.worker.metrics.collector"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("without_client")
def test_a_port_without_the_client_is_a_configuration_error() -> None:
    """The error names the setting and the extra to install."""
    with pytest.raises(ConfigurationError, match=r"metrics_port requires .*sanctum-bus\[metrics\]"):
        importlib.import_module("sanctum_bus.worker.metrics.http")


@pytest.mark.usefixtures("without_client")
def test_a_worker_without_a_port_does_not_import_the_client() -> None:
    """The worker module loads although the client is missing."""
    assert importlib.import_module("sanctum_bus.worker.supervisor").Worker
