"""Recovery of spill files: a publisher sends the files that dead producers of its run left.

The events keep their producer and their numbers, so a worker skips those that arrived before the crash. The lock of a
producer's folder ends with its process. So recovery never reads files of a live producer.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sanctum_bus.errors import SpillUnreadable
from sanctum_bus.publisher.batch import Command, Route, xadd_commands
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.connection import PublisherConnection
from sanctum_bus.publisher.entry import Entry
from sanctum_bus.publisher.log import log
from sanctum_bus.publisher.spill.files import SpillFolder, SpillHeader, folders_of, unpack

#: Maximum number of attempts to send one batch; they take some seconds. A batch that the server always refuses must not
#: delay this publisher's events indefinitely.
_ATTEMPTS = 8


class SpillRecovery:
    """Sends the spill files of dead producers.

    Args:
        config: configuration of the publisher.
        route: destination of the events; its producer is replaced.
        connection: the connection to Redis.
    """

    def __init__(self, config: PublisherConfig, route: Route, connection: PublisherConnection) -> None:
        self._config = config
        self._route = route
        self._connection = connection

    def recover(self) -> bool:
        """Send the files of all dead producers of this run. A file that cannot be read stays, and is logged.

        Returns:
            False if the server refused some files. They stay; a later call may succeed.
        """
        if self._config.spill_path is None:
            return True
        try:
            folders = folders_of(self._config.spill_path, self._config.run_id)
        except OSError as error:
            log.warning(
                "cannot list spill files in %s (run %s): %s",
                self._config.spill_path,
                self._config.run_id,
                error,
            )
            return True
        accepted = True
        for folder in folders:
            try:
                accepted = self._send_folder(folder) and accepted
            except OSError as error:
                log.warning("cannot send the spill files in %s: %s", folder.path, error)
                folder.release()
        return accepted

    def _send_folder(self, folder: SpillFolder) -> bool:
        try:
            if not folder.files():
                return True
            folder.acquire()
        except BlockingIOError:
            return True
        sent = last = 0
        for path in folder.files():
            if not path.stat().st_size:
                # The process crashed between creating and writing the file.
                folder.remove(path)
                continue
            contents = self._read(path)
            if contents is None:
                continue
            header, entries, torn = contents
            if not self._send(header, entries, last):
                folder.release()
                log.warning("the server refuses the events of %s; the file stays, and is retried", path)
                return False
            last = entries[-1].seq if entries else last
            sent += len(entries)
            if torn:
                kept = folder.keep_torn(path)
                log.warning("%s is truncated (%d trailing bytes not sent); kept as %s", path, torn, kept)
            else:
                folder.remove(path)
        left = folder.close()
        log.warning("sent %d events from spill files in %s; files remaining: %d", sent, folder.path, left)
        return True

    def _read(self, path: Path) -> tuple[SpillHeader, list[Entry], int] | None:
        try:
            header, entries, torn = unpack(path.read_bytes())
        except SpillUnreadable as error:
            log.warning("cannot read %s; the file stays: %s", path, error)
            return None
        if header[:2] != (self._config.key_prefix, self._config.run_id):
            log.warning(
                "%s belongs to run %s with key prefix %s; the file stays", path, header.run_id, header.prefix
            )
            return None
        return header, entries, torn

    def _send(self, header: SpillHeader, entries: Sequence[Entry], last: int) -> bool:
        """Send events; return False if the server refused them, or sending was aborted."""
        route = replace(self._route, producer=header.producer)
        for batch in _batches(_with_dropped(entries, last), self._config):
            remaining = batch
            while remaining:
                result = self._connection.send_until_accepted(_commands(route, remaining), _ATTEMPTS)
                if result is None:
                    return False
                remaining = remaining[result.sent + result.lost :]
        return True


def _with_dropped(entries: Sequence[Entry], last: int) -> Iterator[Entry]:
    for entry in entries:
        # Before the first file it is unknown which events were sent and which were dropped.
        yield entry._replace(dropped=entry.seq - 1 - last if last else 0)
        last = entry.seq


def _batches(entries: Iterator[Entry], config: PublisherConfig) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.event)
        if batch and (len(batch) >= config.batch_events or size > config.batch_bytes):
            yield batch
            batch, size = [], len(entry.event)
        batch.append(entry)
    if batch:
        yield batch


def _commands(route: Route, entries: Sequence[Entry]) -> list[Command]:
    # HSETNX: an existing report of the producer stays.
    report = json.dumps({"sent": len(entries), "dropped": 0, "at": 0})
    return [*xadd_commands(route, entries), ("HSETNX", route.producers, route.producer, report)]
