"""Publish a long stream while a worker drains it, with a limited lead."""

from redis import Redis

from bench.load import standard_entries
from bench.server import Server
from bench.subjects.telling import ready, report, told
from sanctum_bus.protocol.keys import RunKeys

#: Maximum number of entries that are published but not folded.
_AHEAD = 20_000

#: Entries per publish call.
_SLAB = 5_000


def main() -> None:
    """Publish the given number of events, and report the number."""
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
