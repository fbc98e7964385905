"""The probes: an idle worker is healthy, a stuck one is not, and one without its server is healthy but not ready."""

import threading
from typing import Any

import pytest

from sanctum_bus.fold.dispatch import fold
from tests.support.faults import FAULTS, Fault
from tests.support.scraping import ask, scrape, wait_for_sample
from tests.support.servers import VALKEY_9, Server, StartServer, free_port
from tests.support.waiting import wait_until
from tests.support.worker_rig import plain, side_of
from tests.support.worker_task import at_work, wait_for_fold

#: The shortest `health_timeout_s` that the other settings of these workers allow.
_STUCK_S = 2.5


def wait_for_status(port: int, path: str, status: int) -> str:
    """Wait until a probe returns a status, and return its text."""
    return wait_until(
        lambda: answer.text if (answer := ask(port, path)).status == status else "",
        f"{path} answers {status}",
    )


def test_an_idle_worker_is_healthy_and_ready(valkey: Server) -> None:
    """A worker without new entries stays healthy and ready for longer than `health_timeout_s`."""
    port, side = free_port(), side_of(valkey)
    side.add(plain(1))
    with at_work(valkey, metrics_port=port, health_timeout_s=_STUCK_S, poll_timeout_ms=50):
        wait_for_status(port, "/readyz", 200)
        turns = _STUCK_S * 2 / 0.05
        statuses = set[int]()

        def is_idle_for_long() -> bool:
            statuses.update(ask(port, path).status for path in ("/healthz", "/readyz"))
            return scrape(port).get("sanctum_ownership_checks_total", 0.0) >= turns

        wait_until(is_idle_for_long, f"it made {turns:g} empty commits", 60)

    assert statuses == {200}


def test_a_stuck_worker_is_not_healthy(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold that blocks stops every loop: the probe names the loops, and returns 200 when they continue."""
    port, side, release = free_port(), side_of(valkey), threading.Event()
    whole = fold

    def hang(*arguments: Any) -> Any:
        release.wait(60)
        return whole(*arguments)

    with at_work(valkey, metrics_port=port, health_timeout_s=_STUCK_S):
        wait_for_status(port, "/readyz", 200)
        monkeypatch.setattr("sanctum_bus.fold.aggregate.fold", hang)
        try:
            side.add(plain(1))
            words = wait_for_status(port, "/healthz", 503)
            assert "discovery is stuck" in words
            found = wait_for_sample(port, "sanctum_stuck_loops", 2)
            assert found["sanctum_events_total"] == 0
            assert "run r is stuck" in ask(port, "/healthz").text
        finally:
            release.set()
        wait_for_status(port, "/healthz", 200)
        wait_for_fold(side)


@pytest.mark.parametrize(
    "fault",
    [one for one in FAULTS if one.name in {"READONLY", "a frozen server", "a killed server"}],
    ids=lambda fault: str(fault.name),
)
def test_a_worker_without_its_server_is_healthy_and_not_ready(
    start_server: StartServer, fault: Fault
) -> None:
    """A worker without its server is healthy, because a restart would not help, and is ready when the server is."""
    server, port = fault.start(start_server, VALKEY_9), free_port()
    side = side_of(server)
    side.add(plain(1))
    with at_work(server, metrics_port=port):
        wait_for_fold(side)
        wait_for_status(port, "/readyz", 200)
        with fault.lasts(server):
            words = wait_for_status(port, "/readyz", 503)
            assert "Redis unreachable" in words
            assert ask(port, "/healthz").status == 200
            assert scrape(port)["sanctum_ready"] == 0
        side.redis.close()
        wait_for_status(port, "/readyz", 200)
        found = scrape(port)
    # Each task that failed has counted the failure, by the name of its error.
    assert [
        name for name in found if name.startswith("sanctum_errors_total") and name.endswith(",discovery}")
    ]


def test_a_worker_that_waits_for_its_server_is_healthy_and_not_ready(start_server: StartServer) -> None:
    """The probes answer before the server is available."""
    server, port = start_server(), free_port()
    server.kill()
    with at_work(server, metrics_port=port):
        wait_for_status(port, "/readyz", 503)
        assert ask(port, "/healthz").status == 200
        server.start()
        wait_for_status(port, "/readyz", 200)
