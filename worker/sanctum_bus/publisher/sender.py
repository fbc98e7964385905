"""The sender thread: sends the events of a buffer in order, one batch in flight, and an end-of-stream marker at the end."""

import time
from collections.abc import Callable

import msgpack
from redis import Redis

from sanctum_bus.events.encode import group_of, with_keys
from sanctum_bus.protocol.entry import AGAIN, LABELS, WIRE_VERSION
from sanctum_bus.publisher.batch import BatchResult, Route, batch_commands
from sanctum_bus.publisher.buffer import Buffer
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.connection import PublisherConnection
from sanctum_bus.publisher.entry import TRAINING_STARTED, Entry
from sanctum_bus.publisher.log import LossLog, log
from sanctum_bus.publisher.spill.buffer import SpillingBuffer
from sanctum_bus.publisher.spill.recovery import SpillRecovery
from sanctum_bus.publisher.spill.writer import SpillWriter
from sanctum_bus.publisher.wakeup import WakeUp

#: Maximum number of seconds that an idle thread waits before its periodic work.
_IDLE_WAIT_S = 1.0

#: Seconds between two checks of a thread that waits for events to be sent.
_POLL_S = 0.002

#: Seconds after which a spill file that could not be read is read again.
_READ_RETRY_S = 0.2

#: Maximum number of attempts to send the spill files of dead producers, and seconds between two attempts.
_RECOVERY_ATTEMPTS, _RECOVERY_INTERVAL_S = 10, 60.0

#: Maximum number of groups whose TRAINING_STARTED is kept.
_MAX_STARTS = 64


class Sender:
    """Sends the events of a buffer to Redis.

    Args:
        config: configuration of the publisher.
        producer: ID of the producer.
        buffer: the events.
        wake_up: triggered by the buffer.
        client_factory: creates a client; called again after each failure.
        writer_wake_up: triggered by a spilling buffer when memory is half full; None without a spill directory.

    Attributes:
        failures: counter of the publisher's failures.
        spill_writer: moves events to files and back; None without a spill directory.
    """

    def __init__(
        self,
        config: PublisherConfig,
        producer: str,
        buffer: Buffer,
        wake_up: WakeUp,
        client_factory: Callable[[], Redis],
        writer_wake_up: WakeUp | None = None,
    ) -> None:
        self._config = config
        self._route = Route(config.keys.events, config.keys.producers, producer, config.maxlen)
        self._buffer = buffer
        self._wake_up = wake_up
        who = f"run {config.run_id}, producer {producer}"
        self._connection = PublisherConnection(config, who, client_factory, wake_up)
        self.failures = self._connection.failures
        self._losses = LossLog(who)
        self.spill_writer: SpillWriter | None = None
        if writer_wake_up is not None and isinstance(buffer, SpillingBuffer):
            self.spill_writer = SpillWriter(config, producer, buffer, writer_wake_up, self.failures)
        self._urgent_seq = 0
        self._recoveries_left, self._recover_at = _RECOVERY_ATTEMPTS, 0.0
        self._closing = self._done = False
        # Whether the server has a report of this producer. If it then treats a report as the first, it was flushed.
        self._is_registered = False
        self._labels_due = bool(config.labels)
        self._starts: dict[str | None, Entry] = {}

    def run(self) -> None:
        """Send until the publisher is closed and everything is sent, or until `abort`."""
        while not (self._done or self._connection.aborted):
            try:
                if self.spill_writer is not None:
                    self._maintain_spill_files(self.spill_writer)
                self._step()
            except Exception as error:  # noqa: BLE001  # no error may end this thread before it is done
                self._connection.back_off(error)
        self._connection.close()
        if self.spill_writer is not None:
            self.spill_writer.close(aborted=not self._done)
        self._losses.summarize(self._buffer.counts)

    def _maintain_spill_files(self, writer: SpillWriter) -> None:
        """Start the spill thread, and send the spill files of dead producers; try again later if the server refuses."""
        if not writer.is_started:
            writer.start()
        is_due = self._recoveries_left == _RECOVERY_ATTEMPTS or not self._closing
        if is_due and self._recoveries_left and time.monotonic() >= self._recover_at:
            self._recoveries_left -= 1
            if SpillRecovery(self._config, self._route, self._connection).recover():
                self._recoveries_left = 0
            self._recover_at = time.monotonic() + _RECOVERY_INTERVAL_S

    def finish(self) -> None:
        """Send everything without lingering, then the end-of-stream marker, then end the thread. Does not wait."""
        self._closing = True
        self._wake_up.trigger()

    def abort(self) -> None:
        """End the thread at once, and cut the connection of the current request."""
        self._connection.abort()
        self._wake_up.trigger()

    def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Send without lingering up to a number, and wait until it is settled.

        Returns:
            False after `timeout_s` seconds, or if sending was aborted.
        """
        deadline = time.monotonic() + timeout_s
        self._urgent_seq = max(self._urgent_seq, seq)
        self._wake_up.trigger()
        # Polling, without a lock: a signal handler that interrupts this thread may call `close`, and wait for the
        # sender thread. That thread could not end if it needed a lock held here.
        while not (self._is_settled(seq) or self._connection.aborted) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return self._is_settled(seq)

    def _is_settled(self, seq: int) -> bool:
        return self._buffer.settled_seq >= seq

    def _step(self) -> None:
        self._losses.check(self._buffer.counts)
        if self.spill_writer is not None and not self.spill_writer.read_back():
            self._wake_up.wait(_READ_RETRY_S)
            return
        if not self._buffer.wake_at(1):
            if self._closing and not self._buffer.has_unsent:
                self._send_closing_entry()
            else:
                self._connection.mark_active()
                self._wake_up.wait(_IDLE_WAIT_S)
            return
        is_urgent = self._closing or not self._is_settled(self._urgent_seq)
        if not (is_urgent or self._buffer.wake_at(self._config.batch_events)):
            self._wake_up.wait(self._config.linger_s)
        self._send(self._buffer.take(self._config.batch_events, self._config.batch_bytes))

    def _send(self, entries: list[Entry]) -> None:
        """Send a batch until every entry is accepted or lost. A batch in flight is never changed or dropped."""
        entries = [self._with_labels(entry) for entry in entries] if self._config.labels else entries
        while entries:
            counts = self._buffer.counts
            batch = batch_commands(self._route, entries, counts.sent + len(entries), counts, time.time())
            result = self._connection.send_until_accepted(batch)
            if result is None:
                return
            settled = result.sent + result.lost
            self._buffer.acknowledge(result.sent, result.lost)
            self._on_accepted(result, entries[:settled])
            entries = entries[settled:]
        self._connection.mark_active()

    def _on_accepted(self, result: BatchResult, entries: list[Entry]) -> None:
        """Remember each group's last TRAINING_STARTED, and queue again those that the server lacks."""
        starts = [entry for entry in entries if entry.type == TRAINING_STARTED]
        current = {group_of(entry.event): entry for entry in starts}
        dropped = {group_of(entry.event): entry for entry in self._buffer.pop_dropped_starts()}
        again = {group: entry for group, entry in dropped.items() if self._is_newest(group, entry)}
        if result.first_report and self._is_registered:
            log.warning(
                "stream is missing on the server (flushed or removed); re-sending run metadata (run %s)",
                self._config.run_id,
            )
            again = self._starts | again
            self._labels_due = bool(self._config.labels)
        self._is_registered = True
        for group, entry in again.items():
            # At the end, with the next number: a worker would count a lower number as a duplicate.
            if group not in current:
                self._buffer.put_internal(TRAINING_STARTED, with_keys(entry.event, {AGAIN: True}))
        self._starts |= current
        while len(self._starts) > _MAX_STARTS:
            del self._starts[next(iter(self._starts))]

    def _is_newest(self, group: str | None, entry: Entry) -> bool:
        sent = self._starts.get(group)
        return sent is None or sent.seq < entry.seq

    def _with_labels(self, entry: Entry) -> Entry:
        if not (self._labels_due or entry.type == TRAINING_STARTED):
            return entry
        self._labels_due = False
        return entry._replace(event=with_keys(entry.event, {LABELS: dict(self._config.labels)}))

    def _send_closing_entry(self) -> None:
        closing = self._buffer.closing_entry()
        if closing is not None:
            entry, counts = closing
            data = {"sent": counts.sent, "dropped": counts.dropped - counts.unnumbered}
            event = msgpack.packb({"v": WIRE_VERSION, "timestamp": time.time(), "data": data})
            entries = [entry._replace(event=event)]
            batch = batch_commands(self._route, entries, counts.sent, counts, time.time())
            result = self._connection.send_until_accepted(batch)
            if result is None:
                return
            self._on_accepted(result, [])
            self._connection.mark_active(at_once=True)
        # If the server was flushed just before, TRAINING_STARTED is in the buffer again, and sending continues.
        self._done = not self._buffer.has_unsent
