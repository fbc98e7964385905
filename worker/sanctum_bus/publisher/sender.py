"""The thread that empties the buffer: one batch under way, in order, and a goodbye at the end."""

import time
from collections.abc import Callable

import msgpack
from redis import Redis

from sanctum_bus.events.encode import group_of, with_keys
from sanctum_bus.protocol.entry import AGAIN, LABELS, WIRE_VERSION
from sanctum_bus.publisher.batch import BatchResult, Route, commands
from sanctum_bus.publisher.buffer import TRAINING_STARTED, Buffer, Entry
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.connection import PublisherConnection
from sanctum_bus.publisher.log import Losses, log
from sanctum_bus.publisher.spill.buffer import SpillingBuffer
from sanctum_bus.publisher.spill.recovery import SpillRecovery
from sanctum_bus.publisher.spill.writer import SpillWriter
from sanctum_bus.publisher.wakeup import Wake

#: Seconds after which an idle thread looks around without being called.
_IDLE_S = 1.0

#: Seconds between two looks of who waits for events to be sent.
_LOOK_S = 0.002

#: Seconds after which a file that could not be read is tried again.
_RETRY_S = 0.2

#: How often a publisher tries to send what others have left, and seconds between two times.
_ADOPTIONS, _ADOPT_EVERY_S = 10, 60.0

#: Groups whose TRAINING_STARTED is kept.
_MAX_STARTS = 64


class Sender:
    """Takes events from a buffer and brings them to Redis.

    Args:
        plan: how and where.
        producer: the producer's id.
        buffer: whence.
        wake: what the buffer calls.
        mover_wake: what the buffer calls when it fills, if it may spill.
        client_factory: makes a client; called again after each failure.

    Attributes:
        failures: what went wrong so far.
    """

    def __init__(
        self,
        plan: PublisherConfig,
        producer: str,
        buffer: Buffer,
        wake: Wake,
        client_factory: Callable[[], Redis],
        mover_wake: Wake | None = None,
    ) -> None:
        self._plan = plan
        self._route = Route(plan.keys.events, plan.keys.producers, producer, plan.maxlen)
        self._buffer = buffer
        self._wake = wake
        who = f"run {plan.run_id}, producer {producer}"
        self._link = PublisherConnection(plan, who, client_factory, wake)
        self.failures = self._link.failures
        self._losses = Losses(who)
        self.mover: SpillWriter | None = None
        if mover_wake is not None and isinstance(buffer, SpillingBuffer):
            self.mover = SpillWriter(plan, producer, buffer, mover_wake, self.failures)
        self._hurry_to = 0
        self._adoptions, self._adopt_at = _ADOPTIONS, 0.0
        self._closing = self._done = False
        # The server has this producer's line in its hash; if it then calls the line new, it was emptied.
        self._known = False
        self._labels_due = bool(plan.labels)
        self._starts: dict[str | None, Entry] = {}

    def run(self) -> None:
        """Send until the publisher is closed and everything is sent, or it was given up."""
        while not (self._done or self._link.given_up):
            try:
                if self.mover is not None:
                    self._look_after_files(self.mover)
                self._turn()
            except Exception as error:  # noqa: BLE001  # nothing may end this thread but its order
                self._link.pause(error)
        self._link.close()
        if self.mover is not None:
            self.mover.end(given_up=not self._done)
        self._losses.sum_up(self._buffer.counts)

    def _look_after_files(self, mover: SpillWriter) -> None:
        """Let files be written from the start on, and send what was left in others: again, where that did not do."""
        if not mover.is_started:
            mover.start()
        is_due = self._adoptions == _ADOPTIONS or not self._closing
        if is_due and self._adoptions and time.monotonic() >= self._adopt_at:
            self._adoptions -= 1
            if SpillRecovery(self._plan, self._route, self._link).send_what_is_left():
                self._adoptions = 0
            self._adopt_at = time.monotonic() + _ADOPT_EVERY_S

    def finish(self) -> None:
        """Send what is there without lingering, say goodbye, and end."""
        self._closing = True
        self._wake.call()

    def give_up(self) -> None:
        """End at once: the call that is going on is cut off."""
        self._link.give_up()
        self._wake.call()

    def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Hurry until everything up to a number is settled; False if it takes longer, or sending was given up."""
        deadline = time.monotonic() + timeout_s
        self._hurry_to = max(self._hurry_to, seq)
        self._wake.call()
        # Without a lock: a handler that interrupts this thread may close, and wait for the one that would want it.
        while not (self._settled(seq) or self._link.given_up) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        return self._settled(seq)

    def _settled(self, seq: int) -> bool:
        return self._buffer.settled_seq >= seq

    def _turn(self) -> None:
        self._losses.look_at(self._buffer.counts)
        if self.mover is not None and not self.mover.bring_back():
            self._wake.wait(_RETRY_S)
            return
        if not self._buffer.arm(1):
            if self._closing and not self._buffer.holds_any:
                self._say_goodbye()
            else:
                self._link.touch()
                self._wake.wait(_IDLE_S)
            return
        urgent = self._closing or not self._settled(self._hurry_to)
        if not (urgent or self._buffer.arm(self._plan.batch_events)):
            self._wake.wait(self._plan.linger_s)
        self._deliver(self._buffer.take(self._plan.batch_events, self._plan.batch_bytes))

    def _deliver(self, entries: list[Entry]) -> None:
        """Send events until they are in the stream or given up; what is under way is never changed or dropped."""
        entries = [self._labelled(entry) for entry in entries] if self._plan.labels else entries
        while entries:
            counts = self._buffer.counts
            batch = commands(self._route, entries, counts.sent + len(entries), counts, time.time())
            result = self._link.insist(batch)
            if result is None:
                return
            settled = result.sent + result.lost
            self._buffer.settle(result.sent, result.lost)
            self._accepted(result, entries[:settled])
            entries = entries[settled:]
        self._link.touch()

    def _accepted(self, result: BatchResult, entries: list[Entry]) -> None:
        starts = [entry for entry in entries if entry.type == TRAINING_STARTED]
        current = {group_of(entry.event): entry for entry in starts}
        lost = {group_of(entry.event): entry for entry in self._buffer.take_lost_starts()}
        again = {group: entry for group, entry in lost.items() if self._is_last(group, entry)}
        if result.emptied and self._known:
            log.warning("the server was emptied: TRAINING_STARTED is sent again (run %s)", self._plan.run_id)
            again = self._starts | again
            self._labels_due = bool(self._plan.labels)
        self._known = True
        for group, entry in again.items():
            # At the end and with the next number: numbers that go down would be duplicates to the worker.
            if group not in current:
                self._buffer.put_again(TRAINING_STARTED, with_keys(entry.event, {AGAIN: True}))
        self._starts |= current
        while len(self._starts) > _MAX_STARTS:
            del self._starts[next(iter(self._starts))]

    def _is_last(self, group: str | None, entry: Entry) -> bool:
        known = self._starts.get(group)
        return known is None or known.seq < entry.seq

    def _labelled(self, entry: Entry) -> Entry:
        if not (self._labels_due or entry.type == TRAINING_STARTED):
            return entry
        self._labels_due = False
        return entry._replace(event=with_keys(entry.event, {LABELS: dict(self._plan.labels)}))

    def _say_goodbye(self) -> None:
        farewell = self._buffer.farewell()
        if farewell is not None:
            goodbye, counts = farewell
            data = {"sent": counts.sent, "dropped": counts.dropped - counts.unnumbered}
            event = msgpack.packb({"v": WIRE_VERSION, "timestamp": time.time(), "data": data})
            batch = commands(self._route, [goodbye._replace(event=event)], counts.sent, counts, time.time())
            result = self._link.insist(batch)
            if result is None:
                return
            self._accepted(result, [])
            self._link.touch(at_once=True)
        # A server that was emptied a moment ago brought TRAINING_STARTED back into the buffer; then it goes on.
        self._done = not self._buffer.holds_any
