"""The buffer of a publisher that may spill: what is oldest in memory moves to files, and comes back when its turn is.

The order is always: under way, read back from a file, in files, on its way to a file, in memory. So the numbers go up
from one to the next. Like its base it does no I/O: others read and write, between two calls and without the lock, so
`emit` never waits for a disk.
"""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sanctum_bus.publisher.buffer import TRAINING_STARTED, Buffer, Entry, alone, size_of

#: Bounds on one file. `emit` may have to wait while so many events are set aside.
_CHUNK_EVENTS = 2_000
_CHUNK_BYTES = 4 << 20

_NEVER = 1 << 62


class Chunk(NamedTuple):
    """Events in one file.

    Args:
        first: number of the first.
        events: how many there are.
        size: bytes of the file.
        starts: the TRAINING_STARTED among them: they are brought back even if the file goes.
    """

    path: Path
    first: int
    events: int
    size: int
    starts: tuple[Entry, ...]


def starts_of(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the TRAINING_STARTED among events."""
    return tuple(entry for entry in entries if entry.type == TRAINING_STARTED)


class SpillingBuffer(Buffer):
    """A buffer of which the oldest events move to files before it is full.

    Args:
        max_events: bound on the events in memory that were never sent.
        max_bytes: bound on their bytes.
        max_spilled: bound on the bytes of all files.
        wake: called when there is as much as `arm` asked for.
        wake_mover: called when memory is half full; neither may block or take a lock.
    """

    def __init__(
        self,
        max_events: int,
        max_bytes: int,
        max_spilled: int,
        wake: Callable[[], None],
        wake_mover: Callable[[], None],
    ) -> None:
        super().__init__(max_events, max_bytes, wake)
        self._high_events, self._high_bytes = max_events // 2, max_bytes // 2
        self._max_spilled = max_spilled
        self._chunk_bytes = min(_CHUNK_BYTES, max_spilled // 4)
        self._wake_mover = wake_mover
        self._called = self._loading = False
        self._moving: list[Entry] = []
        self._chunks: deque[Chunk] = deque()
        self._loaded: Chunk | None = None
        self._front: deque[Entry] = deque()
        self._file_bytes = 0

    @alone
    def begin_move(self, *, rest: bool = False) -> list[Entry]:
        """Set aside what is to go to a file next: the oldest in memory, once it is half full, until it is a quarter.

        Args:
            rest: everything is to go.
        """
        self._called = False
        if not (rest or self._is_high()):
            return []
        low_events, low_bytes = (0, 0) if rest else (self._high_events // 2, self._high_bytes // 2)
        size = 0
        while self._entries and (len(self._entries) > low_events or self._bytes > low_bytes):
            size += size_of(self._entries[0])
            if self._moving and (len(self._moving) >= _CHUNK_EVENTS or size > self._chunk_bytes):
                break
            self._moving.append(self._pop())
        return list(self._moving)

    @alone
    def make_room(self, size: int) -> tuple[list[Chunk], bool]:
        """Drop the oldest files until there is room for so many bytes; return them, and whether there is."""
        gone = []
        # What is just being read stays.
        while len(self._chunks) > self._loading and self._file_bytes + size > self._max_spilled:
            chunk = self._chunks[self._loading]
            del self._chunks[self._loading]
            self._file_bytes -= chunk.size
            self._spilled -= chunk.events
            self._dropped += chunk.events
            self._lost_starts.extend(chunk.starts)
            gone.append(chunk)
        return gone, self._file_bytes + size <= self._max_spilled

    @alone
    def end_move(self, chunk: Chunk | None) -> None:
        """Say that what was set aside is in a file, or None: that it is not; then it is in memory again."""
        moved, self._moving = self._moving, []
        if chunk is None:
            self._put_back(moved)
            self._drop_oldest()
        else:
            oldest = not self._chunks or chunk.first < self._chunks[0].first
            (self._chunks.appendleft if oldest else self._chunks.append)(chunk)
            self._spilled += chunk.events
            self._file_bytes += chunk.size
        self._wake()

    @alone
    def next_chunk(self) -> tuple[Chunk | None, Chunk | None]:
        """Return the file of which everything is settled, if any, and the one to be read now, if any."""
        if self._front or self._under_way:
            return None, None
        done, self._loaded = self._loaded, None
        if done is not None:
            self._file_bytes -= done.size
        self._loading = bool(self._chunks)
        return done, self._chunks[0] if self._chunks else None

    @alone
    def not_loaded(self) -> None:
        """Say that the file to be read cannot be read now: it stays the next one."""
        self._loading = False

    @alone
    def loaded(self, entries: Sequence[Entry]) -> int:
        """Take in what was read; what is missing of it is dropped. Return how many events that is."""
        self._loading = False
        self._loaded = chunk = self._chunks.popleft()
        self._spilled -= chunk.events
        self._front.extend(entries)
        found = {entry.seq for entry in entries}
        self._lost_starts.extend(start for start in chunk.starts if start.seq not in found)
        self._dropped += chunk.events - len(found)
        return chunk.events - len(found)

    @alone
    def hand_back(self) -> list[Entry]:
        """Take back what is under way or read: nothing will be sent any more, and what has a file still has it.

        Returns:
            What has no file and is older than all that has one: it is set aside, and needs one of its own.
        """
        left = [*self._under_way, *self._front]
        self._under_way.clear()
        self._front.clear()
        if self._loaded is None:
            self._moving = left
            return list(left)
        if left:
            chunk = self._loaded._replace(first=left[0].seq, events=len(left), starts=starts_of(left))
            self._chunks.appendleft(chunk)
            self._spilled += len(left)
        self._loaded = None
        return []

    @alone
    def arm(self, events: int) -> bool:
        """Whether there are so many events that can be taken; if not, `wake` is called when there are."""
        before = len(self._under_way) + len(self._front) + self._spilled
        enough = before + (0 if self._moving else len(self._entries)) >= events
        # The end of a move wakes in any case.
        self._wake_at = _NEVER if enough or self._moving else events - before
        return enough

    @alone
    def take(self, max_events: int, max_bytes: int) -> list[Entry]:
        """Hand out the oldest events; none while they are in a file that is to be read first, or on their way there."""
        if self._front and not self._under_way:
            size = 0
            while self._front and len(self._under_way) < max_events:
                size += size_of(self._front[0])
                if self._under_way and size > max_bytes:
                    break
                self._under_way.append(self._after_dropped(self._front.popleft()))
            return list(self._under_way)
        if self._under_way or self._chunks or self._moving:
            return list(self._under_way)
        return super().take(max_events, max_bytes)

    @property
    @alone
    def settled_seq(self) -> int:
        """Everything up to this number was accepted by the server, or dropped."""
        if self._under_way or self._front:
            return (self._under_way or self._front)[0].seq - 1
        if self._chunks:
            return self._chunks[0].first - 1
        return self._moving[0].seq - 1 if self._moving else super().settled_seq

    def _in_memory(self) -> int:
        return super()._in_memory() + len(self._front) + len(self._moving)

    def _is_high(self) -> bool:
        return self._bytes > self._high_bytes or len(self._entries) > self._high_events

    def _relieve(self) -> None:
        if not (self._moving or self._called):
            self._called = True
            self._wake_mover()
        # The disk is slower than training: what is oldest in memory goes, and nobody waits.
        self._drop_oldest()

    def _put_back(self, entries: Sequence[Entry]) -> None:
        self._entries.extendleft(entry[:3] for entry in reversed(entries))
        self._bytes += sum(map(size_of, entries))
