"""Draining one run: what is published beforehand, and who drains it, each in a fresh process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from bench.load import standard_entries
from bench.plan import Bench
from bench.processes import Failed, result_of
from bench.server import Server
from sanctum_bus.protocol.keys import RunKeys

#: The run that is drained, and the stream that it gets anew each time.
RUN = "bench"
TEMPLATE = "bench:template"

#: Entries of one read, for all but Sanctum, which reads as it is set.
COUNT = 1000


@dataclass(frozen=True)
class Drain:
    """A stream that is published once and drained many times.

    Args:
        server: where.
        events: how many events the stream has.
        key: the stream; each drain is given a copy of it.
    """

    server: Server
    events: int
    key: str = TEMPLATE

    def sanctum(self, **settings: object) -> float:
        """Let Sanctum drain a copy, with everything on; return events a second.

        Args:
            settings: that are not the default.

        Raises:
            Failed: the snapshot does not have every entry.
        """
        self.server.provide(self.key, RUN)
        seconds = drained(self.server, **settings)
        folded = self.server.folded(RUN)
        forget_the_rest(self.server)
        if folded != self.events:
            raise Failed(f"{folded:,} of {self.events:,} entries are in the snapshot")
        return self.events / seconds

    def other(self, subject: str) -> float:
        """Let somebody else drain a copy; return events a second."""
        key = RunKeys(RUN).events
        self.server.provide(self.key, RUN)
        told = {"url": self.server.url, "key": key, "events": self.events, "count": COUNT}
        seconds: float = result_of(subject, told)["seconds"]
        forget_the_rest(self.server)
        return self.events / seconds


def drained(server: Server, **settings: object) -> float:
    """Let Sanctum drain the run, and return how many seconds it took."""
    environ = {f"SANCTUM_{name.upper()}": str(value) for name, value in settings.items()}
    seconds: float = result_of("sanctum", {"url": server.url, "runs": [RUN]}, environ)["seconds"]
    return seconds


def forget_the_rest(server: Server) -> None:
    """Remove all but what was published beforehand, wherever it is kept, so that all begin alike."""
    names = cast("Iterator[bytes]", server.client.scan_iter(count=10_000))
    left = [name for name in names if not name.startswith(TEMPLATE.encode())]
    if left:
        server.client.delete(*left)


@contextmanager
def standard_drain(bench: Bench, events: int) -> Iterator[Drain]:
    """Publish the standard load on an empty server; it goes at the end."""
    bench.server.empty()
    bench.server.publish(TEMPLATE, standard_entries(events))
    yield Drain(bench.server, events)
    bench.server.empty()
