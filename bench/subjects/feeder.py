"""Publishes a long stream while it is drained, never far ahead of the worker."""

from redis import Redis

from bench.load import standard_entries
from bench.server import Server
from bench.subjects.telling import ready, report, told
from sanctum_bus.protocol.keys import RunKeys

#: Entries that may be published and not yet folded.
_AHEAD = 20_000

#: Entries that are published at once.
_SLAB = 5_000


def main() -> None:
    """Publish so many events, and report how many there were."""
    task = told()
    ready()
    sent, key = 0, RunKeys(task["run"]).events
    with Redis.from_url(task["url"], protocol=2) as client:
        server = Server(task["url"], 0, client)
        while sent < task["events"]:
            if sent - server.folded(task["run"]) < _AHEAD:
                sent += server.publish(key, standard_entries(_SLAB, sent, sent + 1))
                server.register(task["run"])
    report(sent=sent)


if __name__ == "__main__":
    main()
