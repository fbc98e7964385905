"""A producer: the part of a publisher that numbers events from 1. A forked child gets a new one."""

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
from sanctum_bus.publisher.wakeup import WakeUp

#: Maximum number of characters of a producer's label in its ID.
_MAX_LABEL_CHARS = 64

#: The part of `close`'s timeout that is reserved for writing unsent events to spill files.
_SPILL_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """Counts of a publisher's events. `emitted == sent + dropped + buffered + spilled` always holds.

    Args:
        emitted: events passed to `emit` that have a type. A TRAINING_STARTED that the publisher sends again counts again.
        sent: events that the server accepted.
        dropped: events that were discarded: the buffer was full, the event was larger than 64 MiB or than the buffer, or
            the publisher was closed.
        unconvertible: values that were sent as their `repr`, renamed, or could not be read.
        rejected: events without a type; no other count includes them.
        buffered: events in memory, neither sent nor dropped. After `close` these are the events that could not be sent
            in time. Those of the last batch may be in the stream anyway, if only the server's reply was lost.
        errors: failed attempts to send events, or to write or read spill files.
        last_error: text of the last failed attempt, or None.
        spilled: events in files of `spill_path`. After `close` the next publisher of the run sends them.
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
    """A buffer, and after `start` an ID and a thread that sends the buffer's events.

    Args:
        config: configuration of the publisher.
        label: first part of the ID; None: host and process ID.
        client_factory: creates a client.
        closed: create the producer closed.

    Attributes:
        buffer: the events.
        id: ID of the producer; None before the start.
        closed: whether the producer accepts no more events.
    """

    def __init__(
        self,
        config: PublisherConfig,
        label: str | None,
        client_factory: Callable[[], Redis],
        *,
        closed: bool = False,
    ) -> None:
        self._config = config
        self._label = label
        self._client_factory = client_factory
        self._lock = threading.RLock()
        self._wake_up = WakeUp()
        self._sender: Sender | None = None
        self._thread: threading.Thread | None = None
        self._starting = False
        self._warnings: set[str] = set()
        self._writer_wake_up = None if config.spill_path is None else WakeUp()
        self.buffer = self._new_buffer()
        self.id: str | None = None
        self.closed = False
        if closed:
            self.close(0)

    def _new_buffer(self) -> Buffer:
        config, wake = self._config, self._wake_up.trigger
        if self._writer_wake_up is None:
            return Buffer(config.buffer_events, config.buffer_bytes, wake)
        bounds = (config.buffer_events, config.buffer_bytes, config.spill_bytes)
        return SpillingBuffer(*bounds, wake, self._writer_wake_up.trigger)

    def start(self, keep: object) -> None:
        """Start the thread, unless it runs or the producer is closed.

        Args:
            keep: an object that must live as long as the thread runs.
        """
        with self._lock:
            if self.id is not None or self.closed or self._starting:
                return
            try:
                # A signal handler may call `start` meanwhile; the flag prevents a second thread.
                self._starting = True
                self._launch(keep)
            except (RuntimeError, OSError, MemoryError) as error:
                # The process cannot start a thread at the moment, or the interpreter shuts down. The next event retries.
                self.warn_once(f"cannot start the publisher's thread: {error}; the next event tries again")
            finally:
                self._starting = False

    def _launch(self, keep: object) -> None:
        new_id = _new_id(self._label)
        sender = Sender(
            self._config, new_id, self.buffer, self._wake_up, self._client_factory, self._writer_wake_up
        )
        thread = threading.Thread(
            target=self._run, args=(sender, keep), name="sanctum-publisher", daemon=True
        )
        try:
            self.id, self._sender, self._thread = new_id, sender, thread
            thread.start()
        except BaseException:
            # Ctrl-C may leave `start` after the thread has started; `_run` then finds that another sender is current.
            self.id = self._sender = self._thread = None
            raise
        if self.closed:
            sender.finish()

    def _run(self, sender: Sender, _keep: object) -> None:
        with self._lock:
            is_current = self._sender is sender
        if is_current:
            sender.run()

    def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Wait until every event up to a number is settled; return False on timeout, or if no thread sends."""
        if self._sender is None or self.buffer.held_by_caller:
            return False
        return self._sender.wait_for(seq, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Accept no more events, send the buffered ones, and abort sending after `timeout_s` seconds.

        In a signal handler that interrupted `emit` or the start, this method does not wait: the thread continues after
        the handler returns.
        """
        self.finish()
        if self._sender is None or self._thread is None or self._thread is threading.current_thread():
            return
        if self.buffer.held_by_caller or self._starting:
            return
        reserved_s = 0.0 if self._sender.spill_writer is None else timeout_s * _SPILL_SHARE
        self._thread.join(timeout_s - reserved_s)
        if self._thread.is_alive():
            self._sender.abort()
            self._thread.join(reserved_s)

    def finish(self) -> None:
        """Accept no more events, and let the thread send the buffered ones and end. Does not wait."""
        with self._lock:
            self.closed = True
            self.buffer.close()
        if self._sender is not None:
            self._sender.finish()

    def release_files(self) -> None:
        """Leave the spill files to the parent process. Call it in a forked child."""
        if self._sender is not None and self._sender.spill_writer is not None:
            self._sender.spill_writer.release_folder()

    def warn_once(self, message: str) -> None:
        """Log a warning, unless this producer has logged the same message before."""
        if message not in self._warnings:
            self._warnings.add(message)
            log.warning("%s (run %s)", message, self._config.run_id)

    @property
    def stats(self) -> PublisherStats:
        """Counts of the events so far."""
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
    # The random part is required: a second process with the same label also counts from 1, and a worker would take its
    # events for duplicates.
    start = label[:_MAX_LABEL_CHARS] if label else f"{socket.gethostname()}-{os.getpid()}"
    return f"{start}-{secrets.token_hex(6)}"
