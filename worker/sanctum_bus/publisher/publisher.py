"""The publisher: what a training script holds."""

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
from sanctum_bus.publisher.config import PublisherConfig, factory_of, folder_of, labels_of
from sanctum_bus.publisher.producer import Producer, PublisherStats

#: Seconds that nobody waits longer than; a clock cannot count all that a float can say.
_LONGEST_S = threading.TIMEOUT_MAX / 2

#: Seconds that all publishers together have at the end of the process, if nobody closed them.
AT_EXIT_S = 2.0


class Publisher:
    """Publishes the events of one process to one run, and never blocks, slows or ends the training.

    It is a Nissa output backend: `hub.add_backend(Publisher("my-run"))`. Events may be mappings or objects, see
    `sanctum_bus.events.encode.encode_event`. They are encoded at once and sent by a thread, in order and numbered. While
    Redis is away they wait in a bounded buffer; when it is full the oldest are dropped and counted, or go to files.

    After a fork the child is a producer of its own, with an empty buffer; the parent goes on as before. A publisher
    that is not closed is closed at the end of the process, within 2 seconds: also in a process of `multiprocessing`,
    but not where `os._exit` or a signal ends it.

    Args:
        run_id: the run; 1 to 128 of `A-Z a-z 0-9 _ . : -`, the first a letter or a digit.
        url: of Redis; without it the variable SANCTUM_REDIS_URL, else `redis://localhost:6379/0`.
        client_factory: makes the client instead of `url`, for Sentinel and the like. It is called again after each
            failure, in a thread; what it returned before is closed. The client should have finite time-outs.
        producer: a label for the producer's id, which is this or host and process, and something random.
        labels: labels of the run, sent with this producer's first event and with each TRAINING_STARTED.
        key_prefix: what all keys begin with; without it the variable SANCTUM_KEY_PREFIX, else `nissa`.
        buffer_events: most events that wait to be sent.
        buffer_bytes: most bytes that wait to be sent.
        batch_events: most events in one batch.
        batch_bytes: most bytes in one batch, unless one event alone has more.
        linger_s: seconds that a batch which is not full waits for more.
        close_timeout_s: seconds that `close` may take.
        spill_path: a directory for what does not fit into the buffer; made where it is missing. What another publisher
            of the same run has left there, because its process died, is sent first, under its name and numbers.
        spill_bytes: most bytes that this producer may have there; when they are used up the oldest events are dropped.
        maxlen: about how many entries the stream may keep, read or not; None, which is safe, leaves it to the worker.

    Raises:
        BadInput: an argument is not usable. Nothing else is ever raised, here or later.
    """

    def __init__(  # noqa: PLR0913  # a front door: each has a default that fits, and a keyword
        self,
        run_id: str,
        *,
        url: str | None = None,
        client_factory: Callable[[], Redis] | None = None,
        producer: str | None = None,
        labels: Mapping[str, str] | None = None,
        key_prefix: str | None = None,
        buffer_events: int = 100_000,
        buffer_bytes: int = 64 << 20,
        batch_events: int = 500,
        batch_bytes: int = 1 << 20,
        linger_s: float = 0.005,
        close_timeout_s: float = 5.0,
        maxlen: int | None = None,
        spill_path: str | os.PathLike[str] | None = None,
        spill_bytes: int = 1 << 30,
    ) -> None:
        self._plan = PublisherConfig(
            run_id=run_id,
            key_prefix=keys.resolve_prefix(key_prefix),
            labels=labels_of(labels),
            buffer_events=buffer_events,
            buffer_bytes=buffer_bytes,
            batch_events=batch_events,
            batch_bytes=batch_bytes,
            linger_s=linger_s,
            close_timeout_s=close_timeout_s,
            maxlen=maxlen,
            spill_path=folder_of(spill_path),
            spill_bytes=spill_bytes,
        )
        self._label = None if producer is None else clean(str(producer))
        self._client_factory = client_factory or factory_of(url)
        self._producer = Producer(self._plan, self._label, self._client_factory)
        _publishers.add(self)

    def start(self) -> None:
        """Start sending; the first `emit` does it too. Redis need not be there yet. After `close` it does nothing."""
        if self.producer is None:
            _close_with_multiprocessing()
        # The thread keeps this publisher alive: one that nobody holds any more still has events to send.
        self._producer.start(keep=self)

    def emit(self, event: object) -> None:
        """Take an event over: encode it, put it into the buffer, return. Nothing is raised, nothing is waited for.

        Args:
            event: a mapping, or an object with attributes; see `sanctum_bus.events.encode.encode_event`.
        """
        producer = self._producer
        try:
            kind, packed, unconvertible = encode_event(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  # telemetry must not end a training: what cannot be read is counted
            producer.buffer.reject()
            return
        taken = producer.buffer.put(kind, packed, unconvertible)
        if producer.id is None:
            self.start()
        if not taken:
            producer.say_once("an event came after close and was dropped; more are only counted")

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until every event emitted so far has left the buffer.

        Args:
            timeout_s: seconds to wait; None: `close_timeout_s`.

        Returns:
            True: they were accepted by the server, or dropped before they could be (see `stats`).
        """
        producer = self._producer
        seq = producer.buffer.last_seq
        if producer.buffer.settled_seq >= seq:
            return True
        self.start()
        return producer.wait_for(seq, self._patience(timeout_s))

    def close(self, timeout_s: float | None = None) -> PublisherStats:
        """Send what is there, say goodbye, and end. Events that come later are dropped and counted.

        It takes no longer than told. What is not sent by then is given up, and the answer says how much it is. In a
        signal handler that interrupted `emit` itself it does not wait: the rest is sent once the handler has returned.

        Args:
            timeout_s: seconds it may take; None: `close_timeout_s`.
        """
        self._producer.close(self._patience(timeout_s))
        return self.stats

    @property
    def stats(self) -> PublisherStats:
        """What became of the events so far."""
        return self._producer.stats

    @property
    def producer(self) -> str | None:
        """The producer's id, new at each start and in each forked child; None before the start."""
        return self._producer.id

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _patience(self, timeout_s: float | None) -> float:
        wanted = self._plan.close_timeout_s if timeout_s is None else timeout_s
        return max(0.0, min(wanted, _LONGEST_S))

    def _begin_anew(self) -> None:
        closed = self._producer.closed
        self._producer.forget_files()
        self._producer = Producer(self._plan, self._label, self._client_factory, closed=closed)


_publishers: weakref.WeakSet[Publisher] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # The thread did not come along, locks may be held by threads that are gone, and the parent sends what is buffered.
    for publisher in list(_publishers):
        publisher._begin_anew()  # noqa: SLF001  # a part of the class, out here because `os` wants a function


def _at_exit() -> None:
    deadline = time.monotonic() + AT_EXIT_S
    started = [publisher for publisher in list(_publishers) if publisher.producer is not None]
    # All at once: one whose server is away must not take the others' time.
    for publisher in started:
        publisher._producer.finish()  # noqa: SLF001  # as above
    for publisher in started:
        publisher.close(deadline - time.monotonic())


def _close_with_multiprocessing() -> None:
    # What it forked ends without `atexit`. Where nobody has loaded it, this is none of its processes.
    processes, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
    if processes is not None and util is not None and processes.parent_process() is not None:
        # After everything that it ends itself, and that may still emit.
        util.Finalize(None, _at_exit, exitpriority=-1000)


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
