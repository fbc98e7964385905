"""Spill files: their format, and the folder of one producer.

A file is a sequence of frames. A frame is the length and the CRC-32 of its payload, 4 bytes each, big-endian, then the
payload in MessagePack. The first frame is the header; each later frame is one event with its number.

Files are never changed after they are written. If a process crashes while it writes a file, only the last frames are
missing. The data is not flushed to the disk: files survive a crash of the process, but not a power loss of the machine.
"""

import fcntl
import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import msgpack

from sanctum_bus.errors import SpillUnreadable
from sanctum_bus.publisher.entry import Entry

_FRAME = struct.Struct(">II")
_VERSION = 1
_SUFFIX, _TORN_SUFFIX, _LOCK = ".spill", ".torn", "lock"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_NAME_CHARS = 100


class SpillHeader(NamedTuple):
    """Source of the events in a file.

    Args:
        prefix: prefix of the run's keys.
        run_id: name of the run.
        producer: ID of the producer.
    """

    prefix: str
    run_id: str
    producer: str


def pack(header: SpillHeader, entries: Sequence[Entry]) -> bytes:
    """Return the contents of a file with these events."""
    rows = [(_VERSION, *header), *((entry.seq, entry.type, entry.event) for entry in entries)]
    parts: list[bytes] = []
    for row in rows:
        payload = msgpack.packb(row)
        parts += (_FRAME.pack(len(payload), crc32(payload)), payload)
    return b"".join(parts)


def unpack(data: bytes) -> tuple[SpillHeader, list[Entry], int]:
    """Return the contents of a file up to the first incomplete or damaged frame.

    Returns:
        The header, the events, and the number of bytes from that frame to the end; 0 if the file is complete.

    Raises:
        SpillUnreadable: the first frame is damaged, or the file has another version.
    """
    end, rows = 0, []
    for row, frame_end in _frames(data):
        end = frame_end
        rows.append(row)
    try:
        (version, *names), *events = rows
        header, entries = SpillHeader(*names), [Entry(*event) for event in events]
    except (ValueError, TypeError) as error:
        raise SpillUnreadable("not a spill file: invalid header or event") from error
    if version != _VERSION:
        raise SpillUnreadable(f"unsupported spill file version {version}; this publisher reads {_VERSION}")
    return header, entries, len(data) - end


def _frames(data: bytes) -> Iterator[tuple[Any, int]]:
    """Yield the payload of each frame and the offset of its end, up to the first frame that is damaged."""
    end = 0
    while end + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, end)
        begin, end = end + _FRAME.size, end + _FRAME.size + length
        payload = data[begin:end]
        if len(payload) < length or crc32(payload) != checksum:
            return
        try:
            row = msgpack.unpackb(payload)
        except ValueError:
            return
        yield row, end


class SpillFolder:
    """The folder of one producer's files. The process that holds its lock is the only one to read or write them.

    Args:
        path: path of the folder; `folder_for` returns the folder of a producer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def write(self, first: int, data: bytes) -> Path:
        """Write a complete file, or leave none; acquire the lock if necessary.

        Args:
            first: number of the first event; it names the file.
            data: contents of the file.

        Raises:
            OSError: the file cannot be written, or another process holds the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self._lock is None or not (self.path / _LOCK).exists():
            self.acquire()
        path = self.path / f"{first:020}{_SUFFIX}"
        try:
            path.write_bytes(data)
        except OSError:
            self.remove(path)
            raise
        return path

    def remove(self, path: Path) -> None:
        """Remove a file if possible. A file that stays is sent again later; workers skip its numbers as duplicates."""
        with suppress(OSError):
            path.unlink()

    def keep_torn(self, path: Path) -> Path:
        """Rename an incomplete file to `.torn`, so that no publisher sends it again; return the new path.

        Raises:
            OSError: the file cannot be renamed.
        """
        return path.rename(path.with_suffix(_TORN_SUFFIX))

    def files(self) -> list[Path]:
        """Return the paths of all spill files, oldest first.

        Raises:
            OSError: the folder cannot be read.
        """
        return sorted(path for path in self.path.iterdir() if path.suffix == _SUFFIX)

    def acquire(self) -> None:
        """Acquire the lock.

        Raises:
            BlockingIOError: another process holds it.
            OSError: the lock file cannot be opened, or the file system does not support locks.
        """
        self.release()
        lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
        self._lock = lock

    def release(self) -> None:
        """Release the lock. If a forked child calls this, its parent keeps the lock."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):
                os.close(lock)

    def close(self) -> int:
        """Release the lock, remove the folder if it has no files, and return the number of files that remain."""
        left = 0
        with suppress(OSError):
            left = len(self.files())
            if not left and self._lock is not None:
                (self.path / _LOCK).unlink()
                self.path.rmdir()
                self.path.parent.rmdir()
        self.release()
        return left


def folder_for(root: Path, header: SpillHeader) -> SpillFolder:
    """Return the folder of a producer. Its name is unique, because it contains the random end of the producer's ID."""
    name = _UNSAFE.sub("_", header.producer)[-_MAX_NAME_CHARS:]
    return SpillFolder(root / header.run_id / name)


def folders_of(root: Path, run_id: str) -> list[SpillFolder]:
    """Return the folders of all producers of a run, both live and dead.

    Raises:
        OSError: the directory cannot be read.
    """
    try:
        return [SpillFolder(path) for path in sorted((root / run_id).iterdir()) if path.is_dir()]
    except FileNotFoundError:
        return []
