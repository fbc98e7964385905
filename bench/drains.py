"""Drains of one run: publish a stream, then measure a subject that drains it in a fresh process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from bench.load import standard_entries
from bench.plan import Bench
from bench.processes import Failed, result_of
from bench.server import Server
from sanctum_bus.protocol.keys import RunKeys

#: The run that is drained, and the stream that is copied for each drain.
RUN = "bench"
TEMPLATE = "bench:template"

#: Entries per read for all subjects except Sanctum, which uses its settings.
COUNT = 1000


@dataclass(frozen=True)
class Drain:
    """A stream that is published once and drained many times.

    Args:
        server: the server to measure on.
        events: number of events in the stream.
        key: the stream; each drain gets a copy.
    """

    server: Server
    events: int
    key: str = TEMPLATE

    def sanctum(self, **settings: object) -> float:
        """Drain a copy with Sanctum, all features enabled; return events per second.

        Args:
            settings: settings that differ from the default.

        Raises:
            Failed: the snapshot lacks entries.
        """
        self.server.provide(self.key, RUN)
        seconds = drained(self.server, **settings)
        folded = self.server.folded(RUN)
        forget_the_rest(self.server)
        if folded != self.events:
            raise Failed(f"{folded:,} of {self.events:,} entries are in the snapshot; all were expected")
        return self.events / seconds

    def other(self, subject: str) -> float:
        """Drain a copy with another subject; return events per second."""
        key = RunKeys(RUN).events
        self.server.provide(self.key, RUN)
        told = {"url": self.server.url, "key": key, "events": self.events, "count": COUNT}
        seconds: float = result_of(subject, told)["seconds"]
        forget_the_rest(self.server)
        return self.events / seconds


def drained(server: Server, **settings: object) -> float:
    """Drain the run with Sanctum, and return the seconds."""
    environ = {f"SANCTUM_{name.upper()}": str(value) for name, value in settings.items()}
    seconds: float = result_of("sanctum", {"url": server.url, "runs": [RUN]}, environ)["seconds"]
    return seconds


def forget_the_rest(server: Server) -> None:
    """Delete all keys except the published streams, so that every drain starts equal."""
    names = cast("Iterator[bytes]", server.client.scan_iter(count=10_000))
    left = [name for name in names if not name.startswith(TEMPLATE.encode())]
    if left:
        server.client.delete(*left)


@contextmanager
def standard_drain(bench: Bench, events: int) -> Iterator[Drain]:
    """Publish the standard load on an empty server; delete it at the end."""
    bench.server.empty()
    bench.server.publish(TEMPLATE, standard_entries(events))
    yield Drain(bench.server, events)
    bench.server.empty()
