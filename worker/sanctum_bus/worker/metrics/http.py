"""Metrics and probes over HTTP, in a separate thread, so that they answer also if the worker's event loop is stuck."""

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

    from sanctum_bus.worker.metrics.collector import collector_registry
except ModuleNotFoundError:
    raise ConfigurationError(
        "metrics_port requires the Prometheus client: pip install 'sanctum-bus[metrics]', or set metrics_port to 0"
    ) from None

_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))

#: Seconds in which a client must send its request.
_REQUEST_TIMEOUT_S = 10


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the library's
        """Log nothing: probes arrive every few seconds."""


@contextmanager
def metrics_server(metrics: WorkerMetrics, settings: Settings) -> Iterator[None]:
    """Serve the metrics and the probes while the context is open.

    Raises:
        ConfigurationError: the port is not available.
    """
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server = make_server(host, port, _app(metrics, per_run=settings.metrics_per_run), _Server, _Handler)
    except OSError as error:
        raise ConfigurationError(
            f"cannot serve metrics at {host}:{port}: {error}; correct metrics_host, or set another metrics_port "
            "(0 serves none)"
        ) from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _app(metrics: WorkerMetrics, *, per_run: bool) -> WSGIApplication:
    prometheus = make_wsgi_app(collector_registry(metrics, per_run=per_run))
    probes: dict[str, Callable[[], str]] = {
        "/healthz": lambda: ", ".join(f"{name} is stuck" for name in stuck_loops(metrics)),
        "/readyz": lambda: not_ready_reason(metrics),
    }

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return list(prometheus(environ, start_response))
        probe = probes.get(path)
        if probe is None:
            start_response("404 Not Found", list(_TEXT))
            return [b"not found; available: /metrics, /healthz, /readyz\n"]
        reason = probe()
        start_response("503 Service Unavailable" if reason else "200 OK", list(_TEXT))
        return [f"{reason or 'ok'}\n".encode()]

    return app
