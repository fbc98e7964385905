"""The read-fold-commit pipeline of one run.

Entries are folded while the next ones are read, and while the ones before are committed: the server and the network work
at the same time as the fold.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from sanctum_bus.errors import UnconfirmedGap
from sanctum_bus.fold.recovery import QuarantinedEntry
from sanctum_bus.protocol.entry import Entries, entry_of
from sanctum_bus.worker.metrics.recorder import CommitFigures, RunMetrics
from sanctum_bus.worker.session import RunSession
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.store import Commit, RunStore

T = TypeVar("T")

#: Bytes of uncommitted entries after which a commit is due.
_IN_FLIGHT_BYTES = 32 << 20

#: Entries that are folded without yielding to the event loop: other runs and replies wait no longer than that.
_FOLDED_AT_ONCE = 64


class Pipeline:
    """Reads, folds and commits the entries of one run.

    Args:
        store: the run's keys.
        settings: sizes and times of batches.
        metrics: counts the commits.
        catch_up_slots: limits the runs of a worker that catch up at the same time.
    """

    def __init__(
        self, store: RunStore, settings: Settings, metrics: RunMetrics, catch_up_slots: asyncio.Semaphore
    ) -> None:
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._catch_up_slots = catch_up_slots

    async def prefetch(self, session: RunSession) -> None:
        """Read the first entries of a batch, unless entries are at hand."""
        if not session.ahead and (session.expects_more or not session.in_flight.ids):
            await self._read(session, [])

    async def wait_for_entries(self, session: RunSession) -> None:
        """Wait at most `poll_timeout_ms` for entries, and read them."""
        count = session.next_read(self._settings.read_batch_size)
        session.buffer(await self._store.read_blocking(session.aggregate.version, count), count)

    async def fold(self, session: RunSession) -> int:
        """Fold the entries that were read, and read on, until a commit is due; then commit.

        Returns:
            The number of committed entries.

        Raises:
            RestartRun, RedisError, OSError: the state in memory may be wrong.
        """
        began = time.monotonic()
        while session.ahead and not self._commit_is_due(session, began):
            entries, session.ahead = session.ahead, []
            if session.expects_more:
                await self._read(session, entries)
            else:
                await self._fold(session, entries)
        if self._catch_up_slots.locked():
            # Other runs wait for a slot. While this one waits for its next slot, it should hold few entries.
            return await self.finish(session)
        # Under load more entries have arrived by then, and reading them costs no extra round trip.
        return await self._commit(session, reads_on=bool(session.in_flight.ids) and not session.one_by_one)

    async def finish(self, session: RunSession) -> int:
        """Fold and commit the entries that were read, without reading more."""
        await self._fold(session, session.drain_ahead())
        return await self._commit(session, reads_on=False)

    async def _read(self, session: RunSession, entries: Entries) -> None:
        count = session.next_read(self._settings.read_batch_size)
        session.buffer(await self._overlap(self._store.read(count), session, entries), count)

    async def _commit(self, session: RunSession, *, reads_on: bool) -> int:
        aggregate, settings = session.aggregate, self._settings
        trim_before = session.trim_before(settings.stream_retain_entries)
        in_flight, ahead = session.take_batch()
        count = session.next_read(settings.read_batch_size) if reads_on else 0
        counters, changes = aggregate.counters, aggregate.drain_changes()
        commit = Commit(changes, counters.to_checkpoint(), session.version, in_flight, trim_before)
        figures = CommitFigures.of(commit, counters)
        sent = self._measured(self._store.commit(session.lease, commit, count=count), figures)
        found = await self._overlap(sent, session, ahead)
        if reads_on:
            session.buffer(found, count)
        session.on_committed(commit, settings.read_batch_size)
        return len(in_flight.ids)

    async def _measured(self, request: Awaitable[Entries], figures: CommitFigures) -> Entries:
        """Send a commit, and report it the moment that its reply arrives."""
        began = time.monotonic()
        found = await request
        self._metrics.committed(figures, time.monotonic() - began)
        return found

    async def _overlap(self, request: Awaitable[T], session: RunSession, entries: Entries) -> T:
        """Send a request, fold entries until its reply arrives, and return the reply."""
        if not entries:
            return await request
        sent = asyncio.ensure_future(request)
        try:
            await asyncio.sleep(0)
            await self._fold(session, entries)
        finally:
            reply = await sent
        return reply

    async def _fold(self, session: RunSession, entries: Entries) -> None:
        aggregate, in_flight = session.aggregate, session.in_flight
        if session.park_first:
            for raw_id, flat in entries:
                aggregate.memo.quarantined[raw_id.decode()] = QuarantinedEntry(
                    "killed its reader", entry_of(flat)
                )
        for start in range(0, len(entries), _FOLDED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            began = time.monotonic()
            some = entries[start : start + _FOLDED_AT_ONCE]
            in_flight.ids += [raw_id.decode() for raw_id, _ in some]
            try:
                aggregate.apply_batch(some)
            except UnconfirmedGap as error:
                # Otherwise each gap would cost a restart.
                error.behind = aggregate.gaps_after(entries)
                raise
            in_flight.folding_s += time.monotonic() - began

    def _commit_is_due(self, session: RunSession, began: float) -> bool:
        folded = len(session.in_flight.ids)
        return folded > 0 and (
            session.one_by_one
            or session.in_flight.size >= _IN_FLIGHT_BYTES
            or folded + self._settings.read_batch_size > self._settings.commit_max_entries
            or time.monotonic() - began >= self._settings.commit_interval_ms / 1000
        )
