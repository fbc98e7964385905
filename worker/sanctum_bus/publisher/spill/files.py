"""The files of spilled events: how they are written down, and the folder of one producer.

A file is a row of frames: length and CRC-32 of the payload, big-endian, 4 bytes each, then the payload in MessagePack.
The first says whose events they are, each later one is an event with its number. Files are never changed, so of one that
a dying process has left unfinished only the last frame is missing. Nothing is forced to the disk: the files survive the
process, not the machine.
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
from sanctum_bus.publisher.buffer import Entry

_HEAD = struct.Struct(">II")
_VERSION = 1
_SUFFIX, _TORN_SUFFIX, _LOCK = ".spill", ".torn", "lock"
_ODD = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_NAME_CHARS = 100


class Owner(NamedTuple):
    """Whose events a file holds: the prefix of the keys, the run, the producer."""

    prefix: str
    run_id: str
    producer: str


def pack(owner: Owner, entries: Sequence[Entry]) -> bytes:
    """Return events as the contents of a file."""
    rows = [(_VERSION, *owner), *((entry.seq, entry.type, entry.event) for entry in entries)]
    parts: list[bytes] = []
    for row in rows:
        payload = msgpack.packb(row)
        parts += (_HEAD.pack(len(payload), crc32(payload)), payload)
    return b"".join(parts)


def unpack(data: bytes) -> tuple[Owner, list[Entry], int]:
    """Return what a file holds, up to the first frame that is not whole, and how many bytes there are from there on.

    Raises:
        Unreadable: not even the first frame is whole, or it is of another version.
    """
    at, rows = 0, []
    for row, end in _frames(data):
        at = end
        rows.append(row)
    try:
        (version, *names), *events = rows
        owner, entries = Owner(*names), [Entry(*event) for event in events]
    except (ValueError, TypeError) as error:
        raise SpillUnreadable("it does not begin like a file of spilled events") from error
    if version != _VERSION:
        raise SpillUnreadable(f"it is of version {version}, and this publisher reads version {_VERSION}")
    return owner, entries, len(data) - at


def _frames(data: bytes) -> Iterator[tuple[Any, int]]:
    at = 0
    while at + _HEAD.size <= len(data):
        length, check = _HEAD.unpack_from(data, at)
        begin, at = at + _HEAD.size, at + _HEAD.size + length
        payload = data[begin:at]
        if len(payload) < length or crc32(payload) != check:
            return
        try:
            row = msgpack.unpackb(payload)
        except ValueError:
            return
        yield row, at


class Folder:
    """The folder of one producer, its own as long as the lock is held.

    Args:
        path: where; `folder_for` says it for a producer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def write(self, first: int, data: bytes) -> Path:
        """Write a file whole, or leave none.

        Raises:
            OSError: it could not be written, or another process holds the lock.
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
        """Remove a file, if it can be: one that stays is sent again by who finds it, and known by its numbers."""
        with suppress(OSError):
            path.unlink()

    def set_aside(self, path: Path) -> None:
        """Keep a file that is not whole where nobody sends it again.

        Raises:
            OSError: it cannot be renamed.
        """
        path.rename(path.with_suffix(_TORN_SUFFIX))

    def files(self) -> list[Path]:
        """All files of events, the oldest first.

        Raises:
            OSError: the folder cannot be read.
        """
        return sorted(path for path in self.path.iterdir() if path.suffix == _SUFFIX)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            OSError: another process holds it, or the file system knows no locks.
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
        """Let the lock go; in a forked child it stays the parent's."""
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):
                os.close(lock)

    def close(self) -> int:
        """Remove the folder, if no file is in it, and let the lock go; return how many files stay."""
        left = 0
        with suppress(OSError):
            left = len(self.files())
            if not left and self._lock is not None:
                (self.path / _LOCK).unlink()
                self.path.rmdir()
                self.path.parent.rmdir()
        self.release()
        return left


def folder_for(root: Path, owner: Owner) -> Folder:
    """Return the folder of a producer: the end of its id is random, and so its own."""
    name = _ODD.sub("_", owner.producer)[-_MAX_NAME_CHARS:]
    return Folder(root / owner.run_id / name)


def folders_of(root: Path, run_id: str) -> list[Folder]:
    """Return the folders that producers of a run have, or have left.

    Raises:
        OSError: they cannot be listed.
    """
    try:
        return [Folder(path) for path in sorted((root / run_id).iterdir()) if path.is_dir()]
    except FileNotFoundError:
        return []
