"""The spilling buffer: order, numbers and counts, for any fate of the files."""

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.publisher.entry import TRAINING_STARTED, Entry
from sanctum_bus.publisher.spill.buffer import SpillFile, SpillingBuffer, starts_of


def nothing() -> None:
    """Ignore a wake-up call."""


class Disk:
    """A spilling buffer with files in memory.

    Args:
        max_spilled: maximum size of all files in bytes.
    """

    def __init__(self, max_spilled: int = 400) -> None:
        self.buffer = SpillingBuffer(8, 160, max_spilled, nothing, nothing)
        self.files: dict[Path, list[Entry]] = {}
        self.out: list[Entry] = []
        self.sent = 0

    def move(self, *, works: bool = True, rest: bool = False) -> bool:
        """Spill the events of one file; return whether there were any."""
        entries = self.buffer.begin_spill(rest=rest)
        if entries:
            self.write(entries, works=works)
        return bool(entries)

    def write(self, entries: list[Entry], *, works: bool = True) -> None:
        """Write the outgoing events to a file, or fail if `works` is false."""
        size = sum(len(entry.event) + 8 for entry in entries)
        dropped, fits = self.buffer.make_room(size)
        for file in dropped:
            del self.files[file.path]
        path = Path(str(entries[0].seq))
        if works and fits:
            self.files[path] = entries
            self.buffer.end_spill(SpillFile(entries[0].seq, len(entries), size, path, starts_of(entries)))
        else:
            self.buffer.end_spill(None)
        assert sum(len(entry.event) + 8 for file in self.files.values() for entry in file) <= 400

    def load(self, keep: int = 1_000) -> None:
        """Read the next file, or only its first `keep` events."""
        done, file = self.buffer.next_file()
        if done is not None:
            del self.files[done.path]
        if file is not None:
            self.buffer.end_read(self.files[file.path][:keep])

    def send(self, lost: int = 0) -> None:
        """Take a batch and acknowledge it; its first `lost` events are lost."""
        batch = self.buffer.take(3, 50)
        self.out += batch
        self.buffer.acknowledge(len(batch) - min(lost, len(batch)), min(lost, len(batch)))
        self.sent += len(batch) - min(lost, len(batch))

    def drain(self) -> None:
        """Send everything."""
        while self.buffer.has_unsent:
            self.load()
            self.send()


def test_what_is_oldest_moves_out_and_comes_back_first() -> None:
    """If memory is half full, the oldest events move to a file until it is a quarter full. Events leave in order."""
    disk = Disk()
    for _ in range(5):
        disk.buffer.put("T", b"x" * 10)
    assert disk.move()
    assert not disk.move()

    assert [entry.seq for entry in next(iter(disk.files.values()))] == [1, 2, 3]
    assert (disk.buffer.counts.buffered, disk.buffer.counts.spilled) == (2, 3)
    disk.drain()
    assert [entry.seq for entry in disk.out] == [1, 2, 3, 4, 5]


def test_nothing_overtakes_what_is_on_its_way_to_a_file() -> None:
    """While events are on the way to a file, newer events cannot be taken. `wake` is called when the file is written."""
    disk = Disk()
    for _ in range(5):
        disk.buffer.put("T", b"x")
    entries = disk.buffer.begin_spill()

    assert not disk.buffer.wake_at(1)
    assert disk.buffer.take(3, 50) == []
    assert disk.buffer.has_unsent
    assert disk.buffer.settled_seq == 0
    disk.write(entries)
    assert disk.buffer.wake_at(1)


def test_what_could_not_be_written_is_in_memory_again() -> None:
    """If a write fails, the events return to memory; none is lost while they fit."""
    disk = Disk()
    for _ in range(5):
        disk.buffer.put("T", b"x")
    disk.move(works=False)

    disk.drain()
    assert [entry.seq for entry in disk.out] == [1, 2, 3, 4, 5]
    assert disk.buffer.counts.dropped == 0


def test_a_start_is_brought_back_when_its_file_goes() -> None:
    """A TRAINING_STARTED in a file that was dropped or is missing is sent again, like any dropped one."""
    for works in (True, False):
        disk = Disk(max_spilled=100)
        disk.buffer.put(TRAINING_STARTED, b"start")
        for _ in range(7):
            disk.buffer.put("T", b"x" * 10)
            disk.move()
        if works:
            disk.load(keep=0)
        else:
            disk.buffer.make_room(100)

        assert [entry.event for entry in disk.buffer.pop_dropped_starts()] == [b"start"]


def test_what_is_under_way_at_the_end_goes_before_the_files() -> None:
    """Events in flight are older than all files and get a separate file. Events that were read back still have theirs."""
    disk = Disk()
    for _ in range(3):
        disk.buffer.put("T", b"x")
    disk.buffer.take(2, 50)
    for _ in range(6):
        disk.buffer.put("T", b"x" * 10)
        disk.move()
    disk.write(disk.buffer.return_unsent())
    while disk.move(rest=True):
        pass

    assert [entry.seq for _, file in sorted(disk.files.items()) for entry in file] == list(range(1, 10))
    assert (disk.buffer.counts.buffered, disk.buffer.counts.spilled) == (0, 9)
    disk.load()
    disk.buffer.take(1, 50)
    assert disk.buffer.return_unsent() == []
    assert (disk.buffer.counts.buffered, disk.buffer.counts.spilled) == (0, 9)


@given(st.lists(st.tuples(st.sampled_from("ppppmmflrts"), st.integers(0, 60)), max_size=80), st.randoms())
def test_any_sequence_of_steps(steps: list[tuple[str, int]], chance: random.Random) -> None:
    """After any sequence of steps numbers increase, each entry has the count dropped before it, and each event counts once."""
    disk, put = Disk(), 0
    buffer = disk.buffer
    settled = 0
    for step, size in steps:
        if step == "p":
            put += 1
            buffer.put("T", b"x" * size)
        elif step in "mf":
            disk.move(works=step == "m")
        elif step in "lr":
            disk.load(chance.randint(0, 3) if step == "r" else 1_000)
        else:
            disk.send(chance.randint(0, 2) if step == "t" else 0)
        counts = buffer.counts
        assert counts.emitted == put == counts.sent + counts.dropped + counts.buffered + counts.spilled
        assert counts.sent == disk.sent
        assert buffer.settled_seq >= settled
        settled = buffer.settled_seq

    disk.drain()

    before = 0
    for entry in disk.out:
        assert entry.dropped == entry.seq - 1 - before
        before = entry.seq
    assert buffer.counts.sent + buffer.counts.dropped == put
    assert buffer.settled_seq == put
