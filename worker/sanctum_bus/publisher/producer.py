"""One producer: what numbers its events from 1. A publisher has one, and a new one in each forked child."""

import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from sanctum_bus.publisher.buffer import Buffer
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.log import Failures, log
from sanctum_bus.publisher.sender import Sender
from sanctum_bus.publisher.spill.buffer import SpillingBuffer
from sanctum_bus.publisher.wakeup import Wake

#: Characters of a producer's label that go into its id.
_MAX_LABEL_CHARS = 64


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """What became of the events: `emitted == sent + dropped + buffered + spilled`.

    Args:
        emitted: events handed to `emit` that have a type; a TRAINING_STARTED sent again by the publisher counts again.
        sent: accepted by the server.
        dropped: thrown away: the buffer was full, the event over 64 MiB or over the buffer, or the publisher closed.
        unconvertible: values that were sent as their `repr`, renamed, or could not be read.
        rejected: events without a type.
        buffered: events that are neither sent nor dropped; after `close` these are what is left behind. Some of the
            last batch may be in the stream all the same, if only the server's answer was lost.
        errors: failed attempts to send, or to write or read spilled events.
        last_error: the last of them in words, or None.
        spilled: events that are in files of `spill_path`; after `close` the next publisher of the run sends them.
    """

    emitted: int
    sent: int
    dropped: int
    unconvertible: int
    rejected: int
    buffered: int
    errors: int
    last_error: str | None
    spilled: int = 0


class Producer:
    """A buffer, and from the start on an id and a thread that empties it.

    Args:
        plan: how and where to send.
        label: what the id begins with; None: host and process.
        client_factory: makes a client.
        closed: no event is taken.

    Attributes:
        buffer: where events go.
        id: the producer's id; None before the start.
        closed: it takes no more events.
    """

    def __init__(
        self,
        plan: PublisherConfig,
        label: str | None,
        client_factory: Callable[[], Redis],
        *,
        closed: bool = False,
    ) -> None:
        self._plan = plan
        self._label = label
        self._client_factory = client_factory
        self._lock = threading.RLock()
        self._wake = Wake()
        self._sender: Sender | None = None
        self._thread: threading.Thread | None = None
        self._starting = False
        self._said: set[str] = set()
        self._mover_wake = None if plan.spill_path is None else Wake()
        self.buffer = self._new_buffer()
        self.id: str | None = None
        self.closed = False
        if closed:
            self.close(0)

    def _new_buffer(self) -> Buffer:
        plan, wake = self._plan, self._wake.call
        if self._mover_wake is None:
            return Buffer(plan.buffer_events, plan.buffer_bytes, wake)
        sizes = (plan.buffer_events, plan.buffer_bytes, plan.spill_bytes)
        return SpillingBuffer(*sizes, wake, self._mover_wake.call)

    def start(self, keep: object) -> None:
        """Start the thread, if it does not run and nothing is closed.

        Args:
            keep: is kept alive as long as the thread runs.
        """
        with self._lock:
            if self.id is not None or self.closed or self._starting:
                return
            try:
                # A signal handler may come in while this goes on; one thread is enough.
                self._starting = True
                self._launch(keep)
            except (RuntimeError, OSError, MemoryError) as error:
                # No more threads, or the interpreter is on its way out; the next event asks again.
                self.say_once(f"the publisher cannot start yet: {error}")
            finally:
                self._starting = False

    def _launch(self, keep: object) -> None:
        new_id = _new_id(self._label)
        sender = Sender(self._plan, new_id, self.buffer, self._wake, self._client_factory, self._mover_wake)
        thread = threading.Thread(
            target=self._run, args=(sender, keep), name="sanctum-publisher", daemon=True
        )
        try:
            self.id, self._sender, self._thread = new_id, sender, thread
            thread.start()
        except BaseException:
            # Ctrl-C may come out of `start` when the thread runs already; it finds that it is not wanted.
            self.id = self._sender = self._thread = None
            raise
        if self.closed:
            sender.finish()

    def _run(self, sender: Sender, _keep: object) -> None:
        with self._lock:
            is_wanted = self._sender is sender
        if is_wanted:
            sender.run()

    def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Wait until everything up to a number is settled; False if it takes longer, or nothing sends."""
        if self._sender is None or self.buffer.entered:
            return False
        return self._sender.wait_for(seq, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Take no more events, send what is there, and give up what takes longer than told.

        In a signal handler that interrupted `emit` or the start there is no waiting: the thread goes on when the handler
        returns.
        """
        self.finish()
        if self._sender is None or self._thread is None or self._thread is threading.current_thread():
            return
        if self.buffer.entered or self._starting:
            return
        # What cannot be sent takes a moment to be written down.
        spare_s = 0.0 if self._sender.mover is None else timeout_s / 5
        self._thread.join(timeout_s - spare_s)
        if self._thread.is_alive():
            self._sender.give_up()
            self._thread.join(spare_s)

    def finish(self) -> None:
        """Take no more events, and send what is there; nothing is waited for."""
        with self._lock:
            self.closed = True
            self.buffer.close()
        if self._sender is not None:
            self._sender.finish()

    def forget_files(self) -> None:
        """Let the files be the parent's; in a forked child."""
        if self._sender is not None and self._sender.mover is not None:
            self._sender.mover.forget()

    def say_once(self, what: str) -> None:
        """Log a warning that was not logged before."""
        if what not in self._said:
            self._said.add(what)
            log.warning("%s (run %s)", what, self._plan.run_id)

    @property
    def stats(self) -> PublisherStats:
        """What became of the events so far."""
        counts = self.buffer.counts
        failures = Failures() if self._sender is None else self._sender.failures
        return PublisherStats(
            emitted=counts.emitted,
            sent=counts.sent,
            dropped=counts.dropped,
            unconvertible=counts.unconvertible,
            rejected=counts.rejected,
            buffered=counts.buffered,
            spilled=counts.spilled,
            errors=failures.count,
            last_error=failures.last,
        )


def _new_id(label: str | None) -> str:
    # Never the label alone: a second process that counts from 1 under the same name would be taken for duplicates.
    start = label[:_MAX_LABEL_CHARS] if label else f"{socket.gethostname()}-{os.getpid()}"
    return f"{start}-{secrets.token_hex(6)}"
