"""Batches of one run: entries are folded while the next are read, and while what was folded is committed.

The server, and what is on its way to and from it, works at the same time as the fold.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from sanctum_bus.errors import UnconfirmedGap
from sanctum_bus.fold.recovery import QuarantinedEntry
from sanctum_bus.protocol.entry import Entries, entry_of
from sanctum_bus.worker.metrics.recorder import RunMetrics
from sanctum_bus.worker.session import RunSession
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.store import RunStore

T = TypeVar("T")

#: Bytes of entries that are held at most before they are committed.
_HELD_BYTES = 32 << 20

#: Entries that are folded in one go: other runs, and what is on its way to the server and back, wait no longer.
_FOLDED_AT_ONCE = 64


class Pipeline:
    """Reads, folds and commits what an owner owns.

    Args:
        store: the run's side of the server.
        settings: how much at a time.
        meter: counts what is done.
        queue: where runs wait that have much to catch up with.
    """

    def __init__(
        self, store: RunStore, settings: Settings, meter: RunMetrics, queue: asyncio.Semaphore
    ) -> None:
        self._store = store
        self._settings = settings
        self._meter = meter
        self._queue = queue

    async def look(self, owned: RunSession) -> None:
        """Read the first entries of a batch, where none are at hand."""
        if not owned.ahead and (owned.expects_more or not owned.held.ids):
            await self._read(owned, [])

    async def wait(self, owned: RunSession) -> None:
        """Wait until there are entries, at most `poll_timeout_ms`, and read them."""
        count = owned.next_read(self._settings.read_batch_size)
        owned.receive(await self._store.wait_and_read(owned.aggregate.version, count), count)

    async def fold(self, owned: RunSession) -> int:
        """Fold what was read, and what comes behind it, until a commit is due; then commit.

        Returns:
            How many entries were committed.

        Raises:
            StartOver, RedisError, OSError: the state in memory is of no more use.
        """
        began = time.monotonic()
        while owned.ahead and not self._commit_is_due(owned, began):
            entries, owned.ahead = owned.ahead, []
            if owned.expects_more:
                await self._read(owned, entries)
            else:
                await self._fold(owned, entries)
        if self._queue.locked():
            # Who waits in the queue holds next to nothing.
            return await self.finish(owned)
        # Under load more has come by then, and nobody has to wait for it and ask again.
        return await self._commit(owned, reads_on=bool(owned.held.ids) and not owned.is_suspicious)

    async def finish(self, owned: RunSession) -> int:
        """Fold and commit what was read, and read nothing more."""
        await self._fold(owned, owned.rest())
        return await self._commit(owned, reads_on=False)

    async def _read(self, owned: RunSession, entries: Entries) -> None:
        count = owned.next_read(self._settings.read_batch_size)
        owned.receive(await self._meanwhile(self._store.read(count), owned, entries), count)

    async def _commit(self, owned: RunSession, *, reads_on: bool) -> int:
        aggregate, taken = owned.aggregate, owned.taken
        version = aggregate.version
        trim_before = owned.trim_before(self._settings.stream_retain_entries)
        held, ahead = owned.let_go()
        count = owned.next_read(self._settings.read_batch_size) if reads_on else 0
        committing = self._store.commit(aggregate, taken, owned.version, held, trim_before, count=count)
        found = await self._meanwhile(self._meter.commits(aggregate, held, committing), owned, ahead)
        if reads_on:
            owned.receive(found, count)
        owned.version = version
        owned.settle(len(held.ids), self._settings.read_batch_size)
        return len(held.ids)

    async def _meanwhile(self, request: Awaitable[T], owned: RunSession, entries: Entries) -> T:
        """Send a request, fold entries while the server works on it, and return its reply."""
        if not entries:
            return await request
        asked = asyncio.ensure_future(request)
        try:
            await asyncio.sleep(0)
            await self._fold(owned, entries)
        finally:
            reply = await asked
        return reply

    async def _fold(self, owned: RunSession, entries: Entries) -> None:
        aggregate, ids = owned.aggregate, owned.held.ids
        if owned.is_guilty:
            for raw_id, flat in entries:
                aggregate.memo.quarantined[raw_id.decode()] = QuarantinedEntry(
                    "killed its reader", entry_of(flat)
                )
        for start in range(0, len(entries), _FOLDED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            began = time.monotonic()
            some = entries[start : start + _FOLDED_AT_ONCE]
            ids += [raw_id.decode() for raw_id, _ in some]
            try:
                aggregate.apply_batch(some)
            except UnconfirmedGap as error:
                # Else each hole would cost a start-over of its own.
                error.behind = aggregate.gaps_after(entries)
                raise
            self._meter.folded(time.monotonic() - began)

    def _commit_is_due(self, owned: RunSession, began: float) -> bool:
        held = len(owned.held.ids)
        return held > 0 and (
            owned.is_suspicious
            or owned.held.size >= _HELD_BYTES
            or held + self._settings.read_batch_size > self._settings.commit_max_entries
            or time.monotonic() - began >= self._settings.commit_interval_ms / 1000
        )
