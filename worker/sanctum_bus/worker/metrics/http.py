"""Metrics and probes over HTTP, in a thread of their own: they answer also where the worker's loop does not."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sanctum_bus.errors import ConfigurationError
from sanctum_bus.worker.metrics.health import not_ready_reason, stuck_loops
from sanctum_bus.worker.metrics.recorder import WorkerMetrics
from sanctum_bus.worker.settings import Settings

try:
    from prometheus_client import make_wsgi_app

    from sanctum_bus.worker.metrics.collector import registry_of
except ModuleNotFoundError:
    raise ConfigurationError(
        "metrics_port requires the Prometheus client: pip install 'sanctum-bus[metrics]', or set metrics_port to 0"
    ) from None

_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))

#: Seconds that a client may take for its request.
_PATIENCE_S = 10


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the library's
        """Say nothing: probes come every few seconds."""


@contextmanager
def serving(tally: WorkerMetrics, settings: Settings) -> Iterator[None]:
    """Serve the metrics and the probes for as long as this lasts.

    Raises:
        ConfigurationError: the port cannot be had.
    """
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server = make_server(host, port, _app(tally, per_run=settings.metrics_per_run), _Server, _Handler)
    except OSError as error:
        raise ConfigurationError(
            f"metrics cannot be served at {host}:{port} ({error}): correct metrics_host, or give another "
            "metrics_port; 0 serves none"
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _app(tally: WorkerMetrics, *, per_run: bool) -> WSGIApplication:
    metrics = make_wsgi_app(registry_of(tally, per_run=per_run))
    probes: dict[str, Callable[[], str]] = {
        "/healthz": lambda: ", ".join(f"{name} does not turn" for name in stuck_loops(tally)),
        "/readyz": lambda: not_ready_reason(tally),
    }

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return list(metrics(environ, start_response))
        probe = probes.get(path)
        if probe is None:
            start_response("404 Not Found", list(_TEXT))
            return [b"there is /metrics, /healthz and /readyz\n"]
        why_not = probe()
        start_response("503 Service Unavailable" if why_not else "200 OK", list(_TEXT))
        return [f"{why_not or 'ok'}\n".encode()]

    return app
