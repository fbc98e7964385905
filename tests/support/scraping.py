"""Requests to the metrics port of a worker, as Prometheus and probes send them."""

import http
import urllib.error
import urllib.request
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import wait_until

#: Seconds to wait for an answer.
_TIMEOUT_S = 20.0


class Answer(NamedTuple):
    """An answer: the HTTP status, 0 if the port is closed, and the text."""

    status: int
    text: str


def ask(port: int, path: str) -> Answer:
    """Request one path from a port of this machine."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=_TIMEOUT_S) as reply:
            return Answer(reply.status, reply.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())
    except OSError as error:
        return Answer(0, str(error))


def scrape(port: int) -> dict[str, float]:
    """Return the samples of a port, by name and label values, such as `name{value}`; empty if the port does not answer."""
    answer, found = ask(port, "/metrics"), dict[str, float]()
    if answer.status != http.HTTPStatus.OK:
        return found
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def wait_for_sample(port: int, name: str, least: float) -> dict[str, float]:
    """Wait until a sample is at least `least`, and return all samples."""
    return wait_until(
        lambda: found if (found := scrape(port)).get(name, -1.0) >= least else {},
        f"{name} is at least {least:g}",
    )
