"""Forks, and processes that exit without `close`."""

import subprocess
import sys
import time
from collections import defaultdict

from tests.support.published import RUN, Sent, entries
from tests.support.servers import Server


def run(script: str, *arguments: str, timeout_s: float = 30, code: int = 0) -> str:
    """Run a script in a new interpreter, without warnings about forks of threads; return its output."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert result.returncode == code, result.stderr
    return result.stdout.strip()


def by_producer(sent: list[Sent]) -> list[list[Sent]]:
    """Return the entries of each producer, the longest list first."""
    producers: dict[str, list[Sent]] = defaultdict(list)
    for entry in sent:
        producers[entry.producer].append(entry)
    return sorted(producers.values(), key=len, reverse=True)


FORK = f"""
import os, sys
from sanctum_bus.publisher import Publisher

publisher = Publisher("{RUN}", url=sys.argv[1], linger_s=0.05, labels={{"a": "b"}})
publisher.emit({{"type": "BEFORE"}})
publisher.flush(10)
# These events are in the buffer or in flight at the time of the fork.
for number in range(200):
    publisher.emit({{"type": "PARENT", "data": {{"number": number}}}})
pid = os.fork()
name = "PARENT" if pid else "CHILD"
before = publisher.stats.emitted
for number in range(200, 300):
    publisher.emit({{"type": name, "data": {{"number": number}}}})
stats = publisher.close(10)
if not pid:
    os._exit(0 if (before, stats.emitted, stats.sent, stats.errors) == (0, 100, 100, 0) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print(stats.sent, stats.errors)
"""


def test_after_a_fork_there_are_two_producers(server: Server) -> None:
    """The child has a new ID, numbers from 1 and an empty buffer; the parent is unaffected."""
    assert run(FORK, server.url) == "301 0"

    parent, child = by_producer(entries(server.client()))
    assert [entry.seq for entry in parent] == list(range(1, 303))
    assert [entry.type for entry in parent] == ["BEFORE", *["PARENT"] * 300, "_closed"]
    assert [entry.seq for entry in child] == list(range(1, 102))
    assert [entry.type for entry in child] == [*["CHILD"] * 100, "_closed"]
    assert child[0].body["labels"] == {"a": "b"}


FORK_CLOSED = f"""
import os, sys
from sanctum_bus.publisher import Publisher

publisher = Publisher("{RUN}", url=sys.argv[1])
publisher.emit({{"type": "BEFORE"}})
publisher.close()
pid = os.fork()
publisher.emit({{"type": "LATE"}})
stats = publisher.close()
if not pid:
    os._exit(stats.dropped)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), stats.dropped)
"""


def test_a_closed_publisher_is_closed_in_the_child_too(server: Server) -> None:
    """A publisher that was closed before a fork is closed in the child."""
    assert run(FORK_CLOSED, server.url) == "1 1"
    assert [entry.type for entry in entries(server.client())] == ["BEFORE", "_closed"]


FORK_BUSY = f"""
import os, sys, threading
from sanctum_bus.publisher import Publisher

publisher = Publisher("{RUN}", url=sys.argv[1])
stop = threading.Event()
def emit():
    while not stop.is_set():
        publisher.emit({{"type": "OTHER"}})
        # Wait for a slow machine, so that the buffer drops nothing: other tests cover drops.
        while publisher.stats.buffered > 10_000 and not stop.wait(0.001):
            pass
threads = [threading.Thread(target=emit) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):
    pid = os.fork()
    if not pid:
        publisher.emit({{"type": "CHILD"}})
        os._exit(0 if publisher.close(10).sent == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop.set()
for thread in threads:
    thread.join()
stats = publisher.close(20)
print(stats.buffered, stats.dropped, stats.errors)
"""


def test_a_fork_in_the_middle_of_an_emit_hangs_nobody(server: Server) -> None:
    """The child does not inherit locks that other threads held at the time of the fork."""
    assert run(FORK_BUSY, server.url) == "0 0 0"

    producers = by_producer(entries(server.client()))
    assert len(producers) == 21
    for sent in producers:
        assert [entry.seq for entry in sent] == list(range(1, len(sent) + 1))


EXIT = f"""
import sys
from sanctum_bus.publisher import Publisher

def train():
    publisher = Publisher("{RUN}", url=sys.argv[1])
    for number in range(100):
        publisher.emit({{"type": "STEP"}})

train()
"""


def test_a_process_that_forgets_to_close_loses_nothing(server: Server) -> None:
    """A publisher without references is closed at exit: its events and the end-of-stream marker are sent."""
    run(EXIT, server.url)

    assert [entry.type for entry in entries(server.client())] == [*["STEP"] * 100, "_closed"]


def test_a_process_ends_when_redis_is_away() -> None:
    """At exit a process waits at most two seconds for Redis."""
    before = time.monotonic()
    run(EXIT, "redis://127.0.0.1:1/0")

    assert time.monotonic() - before < 10


POOL = f"""
import multiprocessing, sys
from sanctum_bus.publisher import Publisher

def work(inherited, number):
    own = Publisher("{RUN}", url=sys.argv[1], producer="own", linger_s=60)
    for one in (inherited, own):
        for event in range(10):
            one.emit({{"type": "CHILD", "data": {{"number": number, "event": event}}}})

publisher = Publisher("{RUN}", url=sys.argv[1], linger_s=60)
publisher.emit({{"type": "PARENT"}})
context = multiprocessing.get_context("fork")
children = [context.Process(target=work, args=(publisher, number)) for number in range(3)]
for child in children:
    child.start()
for child in children:
    child.join()
assert [child.exitcode for child in children] == [0, 0, 0]
"""


def test_a_child_of_multiprocessing_closes_at_its_end(server: Server) -> None:
    """A multiprocessing child skips `atexit`, but its events and the end-of-stream marker are sent."""
    run(POOL, server.url)

    sent = entries(server.client())
    producers = by_producer(sent)
    assert len([one for one in sent if one.type == "CHILD"]) == 60
    assert len(producers) == 7
    assert {found[-1].type for found in producers} == {"_closed"}


SIGNALED = f"""
import os, signal, sys
from sanctum_bus.publisher import Publisher

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
publisher = Publisher("{RUN}", url=sys.argv[1], linger_s=60)
for number in range(2000):
    publisher.emit({{"type": "EVENT", "data": {{"number": number}}}})
os.kill(os.getpid(), signal.SIGTERM)
signal.pause()
"""


def test_a_signal_that_is_made_an_exit_loses_nothing(server: Server) -> None:
    """A SIGTERM handler that calls `sys.exit`, as the documentation recommends, closes the publisher."""
    run(SIGNALED, server.url, code=143)

    sent = entries(server.client())
    assert len(sent) == 2001
    assert sent[-1].type == "_closed"
