"""The buffer of a publisher with a spill directory: the oldest events in memory move to files, and are read back later.

Events pass through five stages, oldest first: in flight, read back from a file, in files, on the way to a file, in
memory. So the numbers stay in order. Like its base class this buffer does no I/O: a `SpillWriter` reads and writes the
files between two calls and without the lock, so `emit` never waits for a disk.
"""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sanctum_bus.publisher.buffer import Buffer, synchronized
from sanctum_bus.publisher.entry import TRAINING_STARTED, Entry, size_of

#: Bounds of one file. `emit` may have to wait while this many events are removed from memory.
_FILE_EVENTS = 2_000
_FILE_BYTES = 4 << 20


class SpillFile(NamedTuple):
    """Events in one file.

    Args:
        first: number of the first event.
        events: number of events.
        size: size of the file in bytes.
        path: path of the file.
        starts: the TRAINING_STARTED among the events. They are sent again even if the file is lost.
    """

    first: int
    events: int
    size: int
    path: Path
    starts: tuple[Entry, ...]


def starts_of(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the TRAINING_STARTED among events."""
    return tuple(entry for entry in entries if entry.type == TRAINING_STARTED)


class SpillingBuffer(Buffer):
    """A buffer whose oldest events move to files before memory is full.

    Args:
        max_events: maximum number of events in memory that were never sent.
        max_bytes: maximum size of these events in bytes.
        max_spilled: maximum size of all files in bytes.
        wake: called when the number of events requested with `wake_at` is reached.
        wake_writer: called when memory is half full. Neither callback may block or take a lock.
    """

    def __init__(
        self,
        max_events: int,
        max_bytes: int,
        max_spilled: int,
        wake: Callable[[], None],
        wake_writer: Callable[[], None],
    ) -> None:
        super().__init__(max_events, max_bytes, wake)
        self._high_events, self._high_bytes = max_events // 2, max_bytes // 2
        self._max_spilled = max_spilled
        self._max_file_bytes = min(_FILE_BYTES, max_spilled // 4)
        self._wake_writer = wake_writer
        self._writer_called = False
        # Number of files that are being read: 0 or 1.
        self._reading = 0
        self._read_back: deque[Entry] = deque()
        self._files: deque[SpillFile] = deque()
        self._outgoing: list[Entry] = []
        self._stages[1:1] = [self._read_back, self._files, self._outgoing]
        # The file that `_read_back` was read from; it stays on disk until its events are sent.
        self._read_file: SpillFile | None = None
        self._file_bytes = 0

    @synchronized
    def begin_spill(self, *, rest: bool = False) -> list[Entry]:
        """Remove the next file's events from memory: the oldest, if memory is half full, until it is a quarter full.

        Args:
            rest: spill everything.
        """
        self._writer_called = False
        if not (rest or self._is_above(self._high_events, self._high_bytes)):
            return []
        low_events, low_bytes = (0, 0) if rest else (self._high_events // 2, self._high_bytes // 2)
        size = 0
        while self._memory and self._is_above(low_events, low_bytes):
            size += size_of(self._memory[0])
            if self._outgoing and (len(self._outgoing) >= _FILE_EVENTS or size > self._max_file_bytes):
                break
            self._outgoing.append(self._pop(self._memory))
        return list(self._outgoing)

    @synchronized
    def make_room(self, size: int) -> tuple[list[SpillFile], bool]:
        """Drop the oldest files until `size` bytes fit; return the dropped files, and whether the bytes fit."""
        dropped = []
        # The file that is being read stays.
        while len(self._files) > self._reading and self._file_bytes + size > self._max_spilled:
            file = self._files[self._reading]
            del self._files[self._reading]
            self._file_bytes -= file.size
            self._spilled -= file.events
            self._note_dropped(file.events, file.starts)
            dropped.append(file)
        return dropped, self._file_bytes + size <= self._max_spilled

    @synchronized
    def end_spill(self, file: SpillFile | None) -> None:
        """Record the file of the outgoing events; None if it was not written: then they return to memory."""
        outgoing = list(self._outgoing)
        self._outgoing.clear()
        if file is None:
            self._put_back(outgoing)
            self._drop_oldest()
        else:
            is_oldest = not self._files or file.first < self._files[0].first
            (self._files.appendleft if is_oldest else self._files.append)(file)
            self._spilled += file.events
            self._file_bytes += file.size
        self._wake()

    @synchronized
    def next_file(self) -> tuple[SpillFile | None, SpillFile | None]:
        """Return the file whose events are all settled, if any, and the file to read now, if any."""
        if self._read_back or self._in_flight:
            return None, None
        done, self._read_file = self._read_file, None
        if done is not None:
            self._file_bytes -= done.size
        self._reading = 1 if self._files else 0
        return done, self._files[0] if self._files else None

    @synchronized
    def read_failed(self) -> None:
        """Keep the file that cannot be read at the moment as the next one to read."""
        self._reading = 0

    @synchronized
    def end_read(self, entries: Sequence[Entry]) -> int:
        """Add the events of the file that was read; drop those that are missing, and return their number."""
        self._reading = 0
        self._read_file = file = self._files.popleft()
        self._spilled -= file.events
        self._read_back.extend(entries)
        found = {entry.seq for entry in entries}
        missing = file.events - len(found)
        self._note_dropped(missing, [start for start in file.starts if start.seq not in found])
        return missing

    @synchronized
    def return_unsent(self) -> list[Entry]:
        """Return to files the events in flight and those read back. Call it after sending has ended.

        Returns:
            The events that have no file. They are older than all events that have one; write them to a separate file.
        """
        unsent = [*self._in_flight, *self._read_back]
        self._in_flight.clear()
        self._read_back.clear()
        if self._read_file is None:
            self._outgoing[:] = unsent
            return unsent
        if unsent:
            file = self._read_file._replace(first=unsent[0].seq, events=len(unsent), starts=starts_of(unsent))
            self._files.appendleft(file)
            self._spilled += len(unsent)
        self._read_file = None
        return []

    def _in_memory(self) -> int:
        return super()._in_memory() - len(self._files)

    def _ahead_of_memory(self) -> int:
        return super()._ahead_of_memory() + len(self._read_back) + self._spilled

    def _is_memory_blocked(self) -> bool:
        # `end_spill` calls `wake`.
        return bool(self._outgoing)

    def _sendable(self) -> deque[Any]:
        # While older events are in a file, or on the way to one, nothing can be sent.
        is_blocked = self._files or self._outgoing
        return self._read_back if self._read_back or is_blocked else self._memory

    def _relieve(self) -> None:
        if not (self._outgoing or self._writer_called):
            self._writer_called = True
            self._wake_writer()
        # If the disk is slower than training, the oldest events in memory are dropped: `emit` never waits.
        self._drop_oldest()
