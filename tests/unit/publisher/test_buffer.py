"""The buffer: order, numbers, bounds, and counts that always add up."""

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.publisher.buffer import MAX_SENT_BYTES, TRAINING_STARTED, Buffer


def filled(*sizes: int, max_events: int = 100, max_bytes: int = 1000) -> Buffer:
    """A buffer that took events of these sizes; the type is a part of them."""
    buffer = Buffer(max_events, max_bytes, lambda: None)
    for size in sizes:
        buffer.put("T", b"x" * (size - 1))
    return buffer


def test_events_leave_in_the_order_in_which_they_came() -> None:
    """Numbers begin at 1 and follow the order of arrival; a batch ends at either bound, but is never empty."""
    buffer = filled(10, 20, 300, 40, 50)

    assert [entry.seq for entry in buffer.take(2, 1000)] == [1, 2]
    buffer.settle(2, 0)
    assert [entry.seq for entry in buffer.take(10, 50)] == [3]
    buffer.settle(1, 0)
    assert [entry.seq for entry in buffer.take(10, 90)] == [4, 5]


def test_a_full_buffer_drops_the_oldest_that_was_never_sent() -> None:
    """What is under way stays, whatever comes: it may be in the stream already."""
    buffer = filled(10, 10, max_events=3)
    under_way = buffer.take(2, 1000)

    for _ in range(5):
        buffer.put("T", b"x")

    assert [entry.seq for entry in under_way] == [1, 2]
    buffer.settle(2, 0)
    assert [entry.seq for entry in buffer.take(10, 1000)] == [5, 6, 7]
    assert buffer.counts[:4] == (7, 2, 2, 3)


def test_an_event_that_can_never_be_sent_pushes_nothing_else_out() -> None:
    """It takes a number, so that the worker sees a gap, and only it is dropped."""
    buffer = filled(10, 2000, 10)

    assert [entry.seq for entry in buffer.take(10, 1000)] == [1, 3]
    assert buffer.counts.dropped == 1

    large = filled(max_bytes=1 << 40)
    large.put("T", bytes(MAX_SENT_BYTES - 1))
    large.put("T", bytes(MAX_SENT_BYTES))
    assert [entry.seq for entry in large.take(10, 1 << 40)] == [1]


def test_types_are_a_part_of_what_is_held() -> None:
    """However long they are, what waits is bounded in bytes."""
    buffer = Buffer(100, 1000, lambda: None)
    for _ in range(20):
        buffer.put("T" * 300, b"x")

    assert [entry.seq for entry in buffer.take(100, 1000)] == [18, 19, 20]
    assert buffer.counts[:4] == (20, 0, 17, 3)


def test_dropped_starts_are_kept_aside() -> None:
    """Everything known about a run hangs on its TRAINING_STARTED, so a dropped one can be brought back."""
    buffer = filled(max_events=2)
    buffer.put(TRAINING_STARTED, b"a")
    for _ in range(3):
        buffer.put("T", b"x")

    assert [(entry.seq, entry.event) for entry in buffer.take_lost_starts()] == [(1, b"a")]
    assert buffer.take_lost_starts() == []


def test_a_closed_buffer_takes_only_what_the_publisher_sends_itself() -> None:
    """An event after the end leaves no gap, but is counted; the goodbye has the next number and is no event."""
    buffer = filled(10)
    buffer.close()

    assert not buffer.put("T", b"late")
    buffer.put_again("T", b"own")
    assert [entry.seq for entry in buffer.take(10, 1000)] == [1, 2]
    buffer.settle(2, 0)
    farewell = buffer.farewell()

    assert farewell is not None
    assert (farewell[0].seq, farewell[0].dropped) == (3, 0)
    assert farewell[1][:5] == (3, 2, 1, 0, 1)
    assert filled().farewell() is None


def test_the_caller_is_woken_once_when_there_is_enough() -> None:
    """A thread that waits for ten events is not woken for each of them."""
    calls: list[int] = []
    buffer = Buffer(100, 1000, lambda: calls.append(1))

    assert not buffer.arm(2)
    buffer.put("T", b"x")
    assert calls == []
    buffer.put("T", b"x")
    buffer.put("T", b"x")
    assert calls == [1]
    assert buffer.arm(3)


def test_an_event_from_within_the_buffer_comes_after_the_one_that_was_on_its_way() -> None:
    """A signal handler that emits while the same thread is inside neither hangs nor mixes up the numbers."""
    depth = 0

    def interrupt() -> None:
        nonlocal depth
        depth += 1
        if depth == 1:
            buffer.put("INNER", b"y", 1)

    buffer = Buffer(100, 1000, interrupt)
    buffer.arm(1)
    buffer.put("OUTER", b"x")

    assert [(entry.seq, entry.type) for entry in buffer.take(9, 1000)] == [(1, "OUTER"), (2, "INNER")]
    assert (buffer.counts.emitted, buffer.counts.unconvertible) == (2, 1)


def test_a_handler_may_emit_and_close_where_its_own_thread_is_inside() -> None:
    """Its last event is kept, as it came before the end; one after the end is counted as late."""

    def interrupt() -> None:
        kept.append(buffer.put("INNER", b"y"))
        buffer.close()
        kept.append(buffer.put("LATE", b"z"))
        assert buffer.entered
        assert buffer.last_seq == 1

    kept: list[bool] = []
    buffer = Buffer(100, 1000, interrupt)
    buffer.arm(1)
    buffer.put("OUTER", b"x")

    assert kept == [True, False]
    assert not buffer.entered
    assert [entry.type for entry in buffer.take(9, 1000)] == ["OUTER", "INNER"]
    assert buffer.counts[:5] == (3, 0, 1, 2, 1)


@dataclass
class Model:
    """What a buffer should hold, written down in the plainest way."""

    waiting: list[tuple[int, int]] = field(default_factory=list)
    under_way: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0
    sent: int = 0
    dropped: int = 0

    def put(self, size: int) -> None:
        """Number it, and drop from the front what does not fit."""
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
    """After any sequence of steps the numbers agree, and what was emitted is sent, dropped or buffered."""
    model, buffer = Model(), Buffer(5, 100, lambda: None)
    for step, size in steps:
        if step == "p":
            model.put(size)
            buffer.put("T", b"x" * (size - 1))
        elif step == "t" and not model.under_way:
            taken = buffer.take(3, 50)
            model.under_way, model.waiting = model.waiting[: len(taken)], model.waiting[len(taken) :]
            assert [(entry.seq, len(entry.event) + 1) for entry in taken] == model.under_way
        elif step == "s":
            settled = chance.randint(0, len(model.under_way))
            sent = chance.randint(0, settled)
            buffer.settle(sent, settled - sent)
            del model.under_way[:settled]
            model.sent += sent
            model.dropped += settled - sent

        counts = buffer.counts
        held = [*model.under_way, *model.waiting]
        assert counts[:4] == (model.last, model.sent, model.dropped, len(held))
        assert counts.emitted == counts.sent + counts.dropped + counts.buffered
        assert buffer.last_seq == model.last
        assert buffer.settled_seq == (held[0][0] - 1 if held else model.last)
