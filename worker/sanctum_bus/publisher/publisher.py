"""The publisher: the object that a training script uses to send its events."""

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from redis import Redis

from sanctum_bus.events.bounded_repr import clean
from sanctum_bus.events.encode import encode_event
from sanctum_bus.protocol import keys
from sanctum_bus.publisher.config import PublisherConfig, client_factory_for, parse_labels, parse_spill_path
from sanctum_bus.publisher.producer import Producer, PublisherStats

#: Maximum number of seconds of any wait; a larger float could overflow the clock.
_MAX_WAIT_S = threading.TIMEOUT_MAX / 2

#: Seconds within which all unclosed publishers together have to end at the exit of the process.
AT_EXIT_S = 2.0


class Publisher:
    """Sends the events of a training process to the stream of one run in Redis.

    A publisher never blocks or stops the training. `emit` encodes the event, puts it into a bounded buffer and returns;
    a background thread sends the events in batches, numbered and in order. Failures are logged (logger
    `sanctum_bus.publisher`) and counted in `stats`. Only the constructor raises, for an invalid argument.

        with Publisher("my-run", url="redis://localhost:6379/0") as publisher:
            publisher.emit({"event_type": "EPOCH_COMPLETED", "data": {"env_id": 0, "val_accuracy": 62.4}})

    It is also a Nissa output backend: `hub.add_backend(Publisher("my-run"))`.

    Overflow: while Redis is unavailable, events wait in the buffer, and the thread retries until Redis is back. If the
    buffer is full, the oldest unsent events are dropped and counted. With `spill_path` they move to files instead, and
    are dropped only if these are full or the disk is too slow.

    Fork: a forked child is a new producer with an empty buffer; the parent sends what it had buffered. Threads may share
    a publisher.

    Exit: at the exit of the process, unclosed publishers are closed and have 2 seconds together to send their events. A
    child process of `multiprocessing` does the same. `os._exit` and a signal without a handler skip it: then buffered
    events are lost. A signal handler that calls `sys.exit` prevents that.

    Args:
        run_id: name of the run: 1 to 128 characters of `A-Z a-z 0-9 _ . : -`, the first a letter or a digit.
        url: URL of Redis: one server, Sentinel or Cluster, with or without TLS. Default: environment variable
            SANCTUM_REDIS_URL, else `redis://localhost:6379/0`.
        client_factory: function that returns a redis-py client, instead of `url`. The thread calls it for the first
            connection and after each failure, and closes the previous client. Give the client finite timeouts.
        producer: label of this process, for example `rank0`. The producer's ID is the label and a random suffix.
            Default: host name and process ID.
        labels: labels of the run, such as host or git commit. They are sent with the producer's first event and with
            each TRAINING_STARTED. Default: none.
        key_prefix: first part of all keys; workers and readers need the same. Default: environment variable
            SANCTUM_KEY_PREFIX, else `nissa`.
        buffer_events: maximum number of unsent events in memory. Default: 100,000.
        buffer_bytes: maximum size of these events in bytes. Default: 64 MiB.
        batch_events: maximum number of events in one batch. Default: 500.
        batch_bytes: maximum size of a batch in bytes; a larger event is a batch alone. Default: 1 MiB.
        linger_s: seconds that an incomplete batch waits for more events. Default: 0.005.
        close_timeout_s: seconds that `close` and `flush` wait if they get no timeout. Default: 5.
        maxlen: approximate maximum length of the stream in entries. Entries beyond it are deleted even if no worker has
            read them, so prefer the default: None, only workers trim the stream.
        spill_path: directory for events that do not fit into memory; created if needed. The next publisher of the run
            with the same directory also sends events that a dead process left there, under their original producer and
            numbers. Default: None, no files.
        spill_bytes: maximum size of this producer's files in bytes; beyond it the oldest are dropped. Default: 1 GiB.

    Raises:
        InvalidArgument: an argument is invalid. No other error is raised, here or later.
    """

    def __init__(  # noqa: PLR0913  # every argument has a default and is a keyword
        self,
        run_id: str,
        *,
        url: str | None = None,
        client_factory: Callable[[], Redis] | None = None,
        producer: str | None = None,
        labels: Mapping[str, str] | None = None,
        key_prefix: str | None = None,
        buffer_events: int = PublisherConfig.buffer_events,
        buffer_bytes: int = PublisherConfig.buffer_bytes,
        batch_events: int = PublisherConfig.batch_events,
        batch_bytes: int = PublisherConfig.batch_bytes,
        linger_s: float = PublisherConfig.linger_s,
        close_timeout_s: float = PublisherConfig.close_timeout_s,
        maxlen: int | None = PublisherConfig.maxlen,
        spill_path: str | os.PathLike[str] | None = None,
        spill_bytes: int = PublisherConfig.spill_bytes,
    ) -> None:
        self._config = PublisherConfig(
            run_id=run_id,
            key_prefix=keys.resolve_prefix(key_prefix),
            labels=parse_labels(labels),
            buffer_events=buffer_events,
            buffer_bytes=buffer_bytes,
            batch_events=batch_events,
            batch_bytes=batch_bytes,
            linger_s=linger_s,
            close_timeout_s=close_timeout_s,
            maxlen=maxlen,
            spill_path=parse_spill_path(spill_path),
            spill_bytes=spill_bytes,
        )
        self._label = None if producer is None else clean(str(producer))
        self._client_factory = client_factory or client_factory_for(url)
        self._producer = Producer(self._config, self._label, self._client_factory)
        _publishers.add(self)

    def start(self) -> None:
        """Start the sender thread. The first `emit` also starts it. Redis need not be available; after `close`: no effect."""
        if self.producer is None:
            _register_multiprocessing_exit()
        # The thread keeps the publisher alive: without another reference it still has events to send.
        self._producer.start(keep=self)

    def emit(self, event: object) -> None:
        """Queue an event for sending. Never raises, and never waits for Redis or a disk.

        Args:
            event: a mapping, or an object with attributes; it needs `event_type` or `type`. See
                `sanctum_bus.events.encode.encode_event` for all fields. Unsupported values are sent as their `repr`.
        """
        producer = self._producer
        try:
            kind, packed, unconvertible = encode_event(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  # telemetry must not end a training: an unreadable event is counted
            producer.buffer.reject()
            return
        is_accepted = producer.buffer.put(kind, packed, unconvertible)
        if producer.id is None:
            self.start()
        if not is_accepted:
            producer.warn_once(
                "event dropped because it came after close; further occurrences are counted, not logged"
            )

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until every event emitted so far has left the buffer.

        Args:
            timeout_s: maximum number of seconds to wait. Default: `close_timeout_s`.

        Returns:
            True if the server accepted them all, or they were dropped (see `stats`); False on timeout.
        """
        producer = self._producer
        seq = producer.buffer.last_seq
        if producer.buffer.settled_seq >= seq:
            return True
        self.start()
        return producer.wait_for(seq, self._bounded(timeout_s))

    def close(self, timeout_s: float | None = None) -> PublisherStats:
        """Send the buffered events and an end-of-stream marker, then end the thread.

        Events that are not sent within the timeout remain unsent; with `spill_path` they are written to files. Events
        emitted later are dropped and counted. In a signal handler that interrupted `emit`, `close` does not wait: the
        thread sends the rest after the handler returns.

        Args:
            timeout_s: maximum number of seconds to wait. Default: `close_timeout_s`.

        Returns:
            The final counts.
        """
        self._producer.close(self._bounded(timeout_s))
        return self.stats

    @property
    def stats(self) -> PublisherStats:
        """Counts of the events so far."""
        return self._producer.stats

    @property
    def producer(self) -> str | None:
        """ID of the producer, new at each start and in each forked child; None before the start."""
        return self._producer.id

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _bounded(self, timeout_s: float | None) -> float:
        seconds = self._config.close_timeout_s if timeout_s is None else timeout_s
        return max(0.0, min(seconds, _MAX_WAIT_S))

    def _reset_in_child(self) -> None:
        is_closed = self._producer.closed
        self._producer.release_files()
        self._producer = Producer(self._config, self._label, self._client_factory, closed=is_closed)


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # The child has no sender thread, threads that are gone may hold the locks, and the parent sends the buffered events.
    for publisher in list(_publishers):
        publisher._reset_in_child()  # noqa: SLF001  # a part of the class: `os` requires a function


def _at_exit() -> None:
    deadline = time.monotonic() + AT_EXIT_S
    started = [publisher for publisher in list(_publishers) if publisher.producer is not None]
    # All finish at the same time: one whose server is unavailable must not use up the time of the others.
    for publisher in started:
        publisher._producer.finish()  # noqa: SLF001  # a part of the class: `atexit` requires a function
    for publisher in started:
        publisher.close(deadline - time.monotonic())


def _register_multiprocessing_exit() -> None:
    # Forked children of multiprocessing skip `atexit`. If these modules are not loaded, this process is not one of them.
    processes, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if processes is not None and util is not None and processes.parent_process() is not None:
        # The lowest priority: after everything else that multiprocessing ends and that may still emit.
        util.Finalize(None, _at_exit, exitpriority=-1000)


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
