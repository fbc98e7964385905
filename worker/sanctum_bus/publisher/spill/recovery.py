"""What a producer that died has left in files is sent by the next publisher of its run.

It is sent under the old producer's name and numbers: what was sent before the end is known by them and left out. The
lock of a producer's folder goes with its process, so nothing is taken from one that lives.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sanctum_bus.errors import SpillUnreadable
from sanctum_bus.publisher.batch import Command, Route, xadd_commands
from sanctum_bus.publisher.buffer import Entry
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.connection import PublisherConnection
from sanctum_bus.publisher.log import log
from sanctum_bus.publisher.spill.files import Folder, Owner, folders_of, unpack

#: Attempts to send a batch of another producer, some seconds long: what the server refuses for ever must not keep this
#: one's own events waiting for ever.
_ATTEMPTS = 8


class SpillRecovery:
    """Sends what was left behind.

    Args:
        plan: which run, and where its files are.
        route: where to.
        link: the way there.
    """

    def __init__(self, plan: PublisherConfig, route: Route, link: PublisherConnection) -> None:
        self._plan = plan
        self._route = route
        self._link = link

    def send_what_is_left(self) -> bool:
        """Send the files of all producers of this run that are gone; what cannot be read stays, and is said.

        Returns:
            False: the server does not take something of it, for now or for ever; that stays, too.
        """
        if self._plan.spill_path is None:
            return True
        try:
            folders = folders_of(self._plan.spill_path, self._plan.run_id)
        except OSError as error:
            log.warning("cannot look for spilled events (run %s): %s", self._plan.run_id, error)
            return True
        taken = True
        for folder in folders:
            try:
                taken = self._send_folder(folder) and taken
            except OSError as error:
                log.warning("cannot send the spilled events in %s: %s", folder.path, error)
                folder.release()
        return taken

    def _send_folder(self, folder: Folder) -> bool:
        try:
            if not folder.files():
                return True
            folder.acquire()
        except BlockingIOError:
            return True
        sent = last = 0
        for path in folder.files():
            if not path.stat().st_size:
                # Made, and not written: its process died in between.
                folder.remove(path)
                continue
            found = self._read(path)
            if found is None:
                continue
            owner, entries, torn = found
            if not self._deliver(owner, entries, last):
                folder.release()
                log.warning(
                    "the server does not take the events of %s for now; they stay there, and are tried again",
                    path,
                )
                return False
            last = entries[-1].seq if entries else last
            sent += len(entries)
            if torn:
                folder.set_aside(path)
                log.warning("the last %d bytes of %s are no whole event; it is kept as .torn", torn, path)
            else:
                folder.remove(path)
        left = folder.close()
        log.warning("sent %d events that were left in %s; %d files stay there", sent, folder.path, left)
        return True

    def _read(self, path: Path) -> tuple[Owner, list[Entry], int] | None:
        try:
            owner, entries, torn = unpack(path.read_bytes())
        except SpillUnreadable as error:
            log.warning("cannot read %s, and leave it where it is: %s", path, error)
            return None
        if owner[:2] != (self._plan.key_prefix, self._plan.run_id):
            log.warning("%s is of run %s under %s, and is left where it is", path, owner.run_id, owner.prefix)
            return None
        return owner, entries, torn

    def _deliver(self, owner: Owner, entries: Sequence[Entry], last: int) -> bool:
        """Send events; False if that was given up before."""
        route = replace(self._route, producer=owner.producer)
        for batch in _batches(_with_holes(entries, last), self._plan):
            remaining = batch
            while remaining:
                result = self._link.insist(_commands(route, remaining), _ATTEMPTS)
                if result is None:
                    return False
                remaining = remaining[result.sent + result.lost :]
        return True


def _with_holes(entries: Sequence[Entry], last: int) -> Iterator[Entry]:
    for entry in entries:
        # Before the first file it is not known what was sent and what was dropped.
        yield entry._replace(dropped=entry.seq - 1 - last if last else 0)
        last = entry.seq


def _batches(entries: Iterator[Entry], plan: PublisherConfig) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.event)
        if batch and (len(batch) >= plan.batch_events or size > plan.batch_bytes):
            yield batch
            batch, size = [], len(entry.event)
        batch.append(entry)
    if batch:
        yield batch


def _commands(route: Route, entries: Sequence[Entry]) -> list[Command]:
    # What the producer itself has said of its counts stands.
    report = json.dumps({"sent": len(entries), "dropped": 0, "at": 0})
    return [*xadd_commands(route, entries), ("HSETNX", route.producers, route.producer, report)]
