"""The transfer between a spilling buffer and its files: a thread writes files, and the sender thread reads them back."""

import threading
import time
from contextlib import suppress

from sanctum_bus.errors import SpillUnreadable
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.entry import Entry
from sanctum_bus.publisher.log import Failures, TaskLog, log
from sanctum_bus.publisher.spill.buffer import SpillFile, SpillingBuffer, starts_of
from sanctum_bus.publisher.spill.files import SpillFolder, SpillHeader, folder_for, pack, unpack
from sanctum_bus.publisher.wakeup import WakeUp

#: Seconds between a failed attempt to write and the next one.
_RETRY_S = 5.0

#: Maximum number of seconds that an idle thread waits for a call, and that `close` waits for the thread.
_IDLE_WAIT_S = 1.0


class SpillWriter:
    """Moves events of one producer from its buffer to files, and back.

    Args:
        config: configuration of the publisher, with a `spill_path`.
        producer: ID of the producer.
        buffer: the buffer.
        wake_up: triggered by the buffer when memory is half full.
        failures: counter of the publisher's failures.

    Raises:
        ValueError: the configuration has no `spill_path`.
    """

    def __init__(
        self,
        config: PublisherConfig,
        producer: str,
        buffer: SpillingBuffer,
        wake_up: WakeUp,
        failures: Failures,
    ) -> None:
        if config.spill_path is None:
            raise ValueError("a SpillWriter requires spill_path")
        self._header = SpillHeader(config.key_prefix, config.run_id, producer)
        self._folder: SpillFolder = folder_for(config.spill_path, self._header)
        self._buffer = buffer
        self._wake_up = wake_up
        where = f"{self._folder.path} (run {config.run_id}, producer {producer})"
        self._where = where
        self._writing = TaskLog(
            f"spill events to {where}", failures, "events that do not fit into memory are dropped"
        )
        self._reading = TaskLog(
            f"read spilled events from {where}",
            failures,
            "reading is retried; events that are missing are dropped",
        )
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._closing = False

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread that writes files."""
        thread = threading.Thread(target=self._run, name="sanctum-publisher-spill", daemon=True)
        thread.start()
        self._thread = thread

    def read_back(self) -> bool:
        """Remove the file that was sent, and read the next one if no older event is in memory.

        Returns:
            False if the file cannot be read at the moment; it stays the next one.
        """
        done, file = self._buffer.next_file()
        if done is not None:
            self._folder.remove(done.path)
        if file is None:
            return True
        entries: list[Entry] = []
        error: Exception | None = None
        try:
            _, entries, _ = unpack(file.path.read_bytes())
        except (FileNotFoundError, SpillUnreadable) as problem:
            error = problem
        except OSError as problem:
            # The file exists: the failure is one of the disk or of this process, and can pass.
            self._reading.failed(problem)
            self._buffer.read_failed()
            return False
        if missing := self._buffer.end_read(entries):
            self._reading.failed(error or SpillUnreadable(f"{file.path.name}: {missing} events are missing"))
            with suppress(OSError):
                # Kept, so that a person can examine it.
                self._folder.keep_torn(file.path)
        else:
            self._reading.succeeded()
        return True

    def close(self, *, aborted: bool) -> None:
        """End the thread.

        Args:
            aborted: sending was aborted: write all unsent events to files.
        """
        self._closing = True
        self._wake_up.trigger()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(_IDLE_WAIT_S)
        if aborted and (self._thread is None or not self._thread.is_alive()):
            is_written = self._write(self._buffer.return_unsent())
            while is_written and (entries := self._buffer.begin_spill(rest=True)):
                is_written = self._write(entries)
        if self._folder.close():
            log.warning(
                "%d unsent events remain in %s; the next publisher of this run with the same spill_path sends them",
                self._buffer.counts.spilled,
                self._where,
            )

    def release_folder(self) -> None:
        """Leave the files to the parent process. Call it in a forked child."""
        self._folder.release()

    def _run(self) -> None:
        while not self._closing:
            pause = self._retry_at - time.monotonic()
            self._wake_up.wait(pause if pause > 0 else _IDLE_WAIT_S)
            while not self._closing and time.monotonic() >= self._retry_at and self._spill():
                pass

    def _spill(self) -> bool:
        """Move the events of one file out of memory; return whether there were any and they were written."""
        entries = self._buffer.begin_spill()
        return bool(entries) and self._write(entries)

    def _write(self, entries: list[Entry]) -> bool:
        """Write events that were removed from memory to a file; return whether they are in a file now."""
        if not entries:
            return True
        file = None
        try:
            data = pack(self._header, entries)
            dropped, fits = self._buffer.make_room(len(data))
            for old in dropped:
                self._folder.remove(old.path)
            if fits:
                path = self._folder.write(entries[0].seq, data)
                file = SpillFile(entries[0].seq, len(entries), len(data), path, starts_of(entries))
                self._writing.succeeded()
        except Exception as error:  # noqa: BLE001  # a failure of the disk must not stop the publisher
            self._writing.failed(error)
        finally:
            self._buffer.end_spill(file)
        if file is None:
            self._retry_at = time.monotonic() + _RETRY_S
        return file is not None
