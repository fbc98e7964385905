"""Between buffer and files: a thread that moves out what is oldest, and for the sender's thread what comes back."""

import threading
import time
from contextlib import suppress

from sanctum_bus.errors import SpillUnreadable
from sanctum_bus.publisher.buffer import Entry
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.log import Failures, TaskLog, log
from sanctum_bus.publisher.spill.buffer import Chunk, SpillingBuffer, starts_of
from sanctum_bus.publisher.spill.files import Folder, Owner, folder_for, pack, unpack
from sanctum_bus.publisher.wakeup import Wake

#: Seconds before the next attempt to write after one that failed.
_RETRY_S = 5.0

#: Seconds after which an idle thread looks around without being called, and that its end may take.
_IDLE_S = 1.0


class SpillWriter:
    """Moves events of one producer to files and back.

    Args:
        plan: where.
        producer: the producer's id.
        buffer: whence.
        wake: what the buffer calls when it fills.
        failures: where trouble is counted.
    """

    def __init__(
        self, plan: PublisherConfig, producer: str, buffer: SpillingBuffer, wake: Wake, failures: Failures
    ) -> None:
        if plan.spill_path is None:
            raise ValueError("a publisher without a spill_path has nothing to move")
        self._owner = Owner(plan.key_prefix, plan.run_id, producer)
        self._folder: Folder = folder_for(plan.spill_path, self._owner)
        self._buffer = buffer
        self._wake = wake
        where = f"{self._folder.path} (run {plan.run_id}, producer {producer})"
        self._where = where
        self._writing = TaskLog(
            f"spill events to {where}", failures, "what does not fit into the buffer is dropped"
        )
        self._reading = TaskLog(
            f"read spilled events back from {where}",
            failures,
            "it is tried again, and what is gone of them is dropped",
        )
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._ending = False

    @property
    def is_started(self) -> bool:
        """Whether the thread that moves events out was started."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread that moves events out."""
        thread = threading.Thread(target=self._run, name="sanctum-publisher-spill", daemon=True)
        thread.start()
        self._thread = thread

    def bring_back(self) -> bool:
        """Remove the file that was sent, and read the next one, if nothing is in memory that is older.

        Returns:
            False: it cannot be read just now, and stays the next one.
        """
        done, chunk = self._buffer.next_chunk()
        if done is not None:
            self._folder.remove(done.path)
        if chunk is None:
            return True
        entries: list[Entry] = []
        error: Exception | None = None
        try:
            _, entries, _ = unpack(chunk.path.read_bytes())
        except (FileNotFoundError, SpillUnreadable) as problem:
            error = problem
        except OSError as problem:
            # The file is there: it is the disk, or this process, that has trouble.
            self._reading.failed(problem)
            self._buffer.not_loaded()
            return False
        if missing := self._buffer.loaded(entries):
            self._reading.failed(error or SpillUnreadable(f"{chunk.path.name}: {missing} events are gone"))
            with suppress(OSError):
                # Somebody may still make something of it.
                self._folder.set_aside(chunk.path)
        else:
            self._reading.succeeded()
        return True

    def end(self, *, given_up: bool) -> None:
        """End the thread; where sending was given up, leave in files what it could still hold."""
        self._ending = True
        self._wake.call()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(_IDLE_S)
        if given_up and (self._thread is None or not self._thread.is_alive()):
            kept = self._write(self._buffer.hand_back())
            while kept and (entries := self._buffer.begin_move(rest=True)):
                kept = self._write(entries)
        if self._folder.close():
            log.warning(
                "%d events are left in %s; the next publisher of this run with this spill_path sends them",
                self._buffer.counts.spilled,
                self._where,
            )

    def forget(self) -> None:
        """Let the files be the parent's, after a fork."""
        self._folder.release()

    def _run(self) -> None:
        while not self._ending:
            pause = self._retry_at - time.monotonic()
            self._wake.wait(pause if pause > 0 else _IDLE_S)
            while not self._ending and time.monotonic() >= self._retry_at and self._move():
                pass

    def _move(self) -> bool:
        """Move one file's worth of events out; return whether there were any, and they are."""
        entries = self._buffer.begin_move()
        return bool(entries) and self._write(entries)

    def _write(self, entries: list[Entry]) -> bool:
        """Write down what was set aside; return whether it is in a file now."""
        if not entries:
            return True
        chunk = None
        try:
            data = pack(self._owner, entries)
            gone, fits = self._buffer.make_room(len(data))
            for old in gone:
                self._folder.remove(old.path)
            if fits:
                path = self._folder.write(entries[0].seq, data)
                chunk = Chunk(path, entries[0].seq, len(entries), len(data), starts_of(entries))
                self._writing.succeeded()
        except Exception as error:  # noqa: BLE001  # the disk's trouble is no trouble of training
            self._writing.failed(error)
        finally:
            self._buffer.end_move(chunk)
        if chunk is None:
            self._retry_at = time.monotonic() + _RETRY_S
        return chunk is not None
