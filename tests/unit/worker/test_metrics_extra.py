"""A worker with `metrics_port` and without the Prometheus client."""

import asyncio
import sys

import pytest

from sanctum_bus.errors import ConfigurationError
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker


def test_a_worker_with_a_port_and_without_the_client_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package to install; nothing is sent to the server."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    for name in ("sanctum_bus.worker.metrics.http", "sanctum_bus.worker.metrics.collector"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    async def work() -> None:
        await Worker(load(redis_url="redis://127.0.0.1:1", metrics_port=9464)).run()

    with pytest.raises(ConfigurationError, match=r"pip install 'sanctum-bus\[metrics\]'"):
        asyncio.run(work())
