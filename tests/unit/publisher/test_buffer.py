"""The buffer: order, numbers, bounds, and counts that always add up."""

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.publisher.buffer import Buffer
from sanctum_bus.publisher.entry import MAX_SENT_BYTES, TRAINING_STARTED


def filled(*sizes: int, max_events: int = 100, max_bytes: int = 1000) -> Buffer:
    """Return a buffer with events of these sizes in bytes, including the type."""
    buffer = Buffer(max_events, max_bytes, lambda: None)
    for size in sizes:
        buffer.put("T", b"x" * (size - 1))
    return buffer


def test_events_leave_in_the_order_in_which_they_came() -> None:
    """Numbers start at 1 and follow the order of arrival. A batch ends at either bound, but is never empty."""
    buffer = filled(10, 20, 300, 40, 50)

    assert [entry.seq for entry in buffer.take(2, 1000)] == [1, 2]
    buffer.acknowledge(2, 0)
    assert [entry.seq for entry in buffer.take(10, 50)] == [3]
    buffer.acknowledge(1, 0)
    assert [entry.seq for entry in buffer.take(10, 90)] == [4, 5]


def test_a_full_buffer_drops_the_oldest_that_was_never_sent() -> None:
    """Events in flight are never dropped: they may already be in the stream."""
    buffer = filled(10, 10, max_events=3)
    in_flight = buffer.take(2, 1000)

    for _ in range(5):
        buffer.put("T", b"x")

    assert [entry.seq for entry in in_flight] == [1, 2]
    buffer.acknowledge(2, 0)
    assert [entry.seq for entry in buffer.take(10, 1000)] == [5, 6, 7]
    assert buffer.counts[:4] == (7, 2, 2, 3)


def test_an_event_that_can_never_be_sent_pushes_nothing_else_out() -> None:
    """An event that is too large gets a number, so that a worker sees a gap. No other event is dropped for it."""
    buffer = filled(10, 2000, 10)

    assert [entry.seq for entry in buffer.take(10, 1000)] == [1, 3]
    assert buffer.counts.dropped == 1

    large = filled(max_bytes=1 << 40)
    large.put("T", bytes(MAX_SENT_BYTES - 1))
    large.put("T", bytes(MAX_SENT_BYTES))
    assert [entry.seq for entry in large.take(10, 1 << 40)] == [1]


def test_types_are_a_part_of_what_is_held() -> None:
    """The bound in bytes includes the types of the events."""
    buffer = Buffer(100, 1000, lambda: None)
    for _ in range(20):
        buffer.put("T" * 300, b"x")

    assert [entry.seq for entry in buffer.take(100, 1000)] == [18, 19, 20]
    assert buffer.counts[:4] == (20, 0, 17, 3)


def test_dropped_starts_are_kept_aside() -> None:
    """A run needs its TRAINING_STARTED, so a dropped one can be sent again."""
    buffer = filled(max_events=2)
    buffer.put(TRAINING_STARTED, b"a")
    for _ in range(3):
        buffer.put("T", b"x")

    assert [(entry.seq, entry.event) for entry in buffer.pop_dropped_starts()] == [(1, b"a")]
    assert buffer.pop_dropped_starts() == []


def test_a_closed_buffer_takes_only_what_the_publisher_sends_itself() -> None:
    """An event after `close` is counted and leaves no gap. The end-of-stream marker has the next number and is not counted."""
    buffer = filled(10)
    buffer.close()

    assert not buffer.put("T", b"late")
    buffer.put_internal("T", b"own")
    assert [entry.seq for entry in buffer.take(10, 1000)] == [1, 2]
    buffer.acknowledge(2, 0)
    closing = buffer.closing_entry()

    assert closing is not None
    assert (closing[0].seq, closing[0].dropped) == (3, 0)
    assert closing[1][:5] == (3, 2, 1, 0, 1)
    assert filled().closing_entry() is None


def test_the_caller_is_woken_once_when_there_is_enough() -> None:
    """`wake` is called once when the requested number of events is reached, not for each event."""
    calls: list[int] = []
    buffer = Buffer(100, 1000, lambda: calls.append(1))

    assert not buffer.wake_at(2)
    buffer.put("T", b"x")
    assert calls == []
    buffer.put("T", b"x")
    buffer.put("T", b"x")
    assert calls == [1]
    assert buffer.wake_at(3)


def test_an_event_from_within_the_buffer_comes_after_the_one_that_was_on_its_way() -> None:
    """A signal handler may emit while its thread is inside the buffer: it does not hang, and the numbers stay in order."""
    depth = 0

    def interrupt() -> None:
        nonlocal depth
        depth += 1
        if depth == 1:
            buffer.put("INNER", b"y", 1)

    buffer = Buffer(100, 1000, interrupt)
    buffer.wake_at(1)
    buffer.put("OUTER", b"x")

    assert [(entry.seq, entry.type) for entry in buffer.take(9, 1000)] == [(1, "OUTER"), (2, "INNER")]
    assert (buffer.counts.emitted, buffer.counts.unconvertible) == (2, 1)


def test_a_handler_may_emit_and_close_where_its_own_thread_is_inside() -> None:
    """An event of the handler before `close` is kept; one after it is counted as late."""

    def interrupt() -> None:
        kept.append(buffer.put("INNER", b"y"))
        buffer.close()
        kept.append(buffer.put("LATE", b"z"))
        assert buffer.held_by_caller
        assert buffer.last_seq == 1

    kept: list[bool] = []
    buffer = Buffer(100, 1000, interrupt)
    buffer.wake_at(1)
    buffer.put("OUTER", b"x")

    assert kept == [True, False]
    assert not buffer.held_by_caller
    assert [entry.type for entry in buffer.take(9, 1000)] == ["OUTER", "INNER"]
    assert buffer.counts[:5] == (3, 0, 1, 2, 1)


@dataclass
class Model:
    """The expected contents of a buffer, in the simplest implementation."""

    waiting: list[tuple[int, int]] = field(default_factory=list)
    in_flight: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0
    sent: int = 0
    dropped: int = 0

    def put(self, size: int) -> None:
        """Number an event, and drop the oldest ones that do not fit."""
        self.last += 1
        if size > 100:
            self.dropped += 1
            return
        self.waiting.append((self.last, size))
        while len(self.waiting) > 5 or sum(size for _, size in self.waiting) > 100:
            self.waiting.pop(0)
            self.dropped += 1


@given(st.lists(st.tuples(st.sampled_from("pppts"), st.integers(1, 120)), max_size=60), st.randoms())
def test_the_buffer_does_what_its_model_does(steps: list[tuple[str, int]], chance: random.Random) -> None:
    """After any sequence of steps numbers and counts agree with the model, and every event is sent, dropped or buffered."""
    model, buffer = Model(), Buffer(5, 100, lambda: None)
    for step, size in steps:
        if step == "p":
            model.put(size)
            buffer.put("T", b"x" * (size - 1))
        elif step == "t" and not model.in_flight:
            taken = buffer.take(3, 50)
            model.in_flight, model.waiting = model.waiting[: len(taken)], model.waiting[len(taken) :]
            assert [(entry.seq, len(entry.event) + 1) for entry in taken] == model.in_flight
        elif step == "s":
            settled = chance.randint(0, len(model.in_flight))
            sent = chance.randint(0, settled)
            buffer.acknowledge(sent, settled - sent)
            del model.in_flight[:settled]
            model.sent += sent
            model.dropped += settled - sent

        counts = buffer.counts
        held = [*model.in_flight, *model.waiting]
        assert counts[:4] == (model.last, model.sent, model.dropped, len(held))
        assert counts.emitted == counts.sent + counts.dropped + counts.buffered
        assert buffer.last_seq == model.last
        assert buffer.settled_seq == (held[0][0] - 1 if held else model.last)
