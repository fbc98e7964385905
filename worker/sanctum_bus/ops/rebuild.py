"""Rebuild a run's snapshot: fold its whole stream in this process, and replace the snapshot.

The owner of the run continues meanwhile. Only for the switch the run is locked: its owner is fenced, no worker acquires
the run for a moment, and the entries that the owner committed last are folded too. Then one script replaces the snapshot
and leaves its version unchanged. The owner acquires the run again and continues from there.
"""

from collections import deque
from typing import Any, NamedTuple, cast

import redis

from sanctum_bus.errors import RestartRun, StreamMoved, Unavailable
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.changes import Changes, ParkedEntry
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.state import State
from sanctum_bus.ops.runs import explain_wrong_types, require_run
from sanctum_bus.ops.stream_pages import StreamPages
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.protocol.stream_id import ZERO, less
from sanctum_bus.worker.commit_arguments import build, change_notification
from sanctum_bus.worker.settings import Settings

#: Milliseconds of one lock.
_LOCK_MS = 5000

#: Attempts before the rebuild gives up because the stream was trimmed, or the run acquired, at the wrong moment.
_ATTEMPTS = 5


class RebuildResult(NamedTuple):
    """The new snapshot.

    Args:
        generation: of the run.
        version: unchanged by the rebuild.
        entries: stream entries that it accounts for.
        events: events that were folded.
        parked: entries that were parked.
        lost: lost events by reason.
        missing: entries that the stream no longer had.
    """

    generation: int
    version: str
    entries: int
    events: int
    parked: int
    lost: dict[str, int]
    missing: int


@explain_wrong_types
def rebuild_run(
    client: redis.Redis, run: RunKeys, settings: Settings, *, partial: bool = False
) -> RebuildResult:
    """Fold a run's stream from its first entry, and replace the run's snapshot by the result.

    Args:
        client: of the server.
        run: the run.
        settings: of the workers: their limits influence the result.
        partial: rebuild even if the stream was trimmed or replaced; the missing entries count as lost.

    Raises:
        UnknownRun: the run does not exist.
        Unavailable: there is no stream or no whole snapshot, the stream was trimmed or replaced, the run kept changing,
            or the stream or the checkpoint has the wrong type.
        RedisError: the server could not execute a request; the snapshot is either the old one or the new one.
    """
    require_run(client, run)
    memo, attempts, unaccounted = RecoveryMemo(trusts_gaps=True), 0, 0
    while attempts < _ATTEMPTS:
        try:
            return _Rebuild(client, run, settings, memo, unaccounted if partial else None).run()
        except RestartRun as error:
            if not memo.record(error):
                raise
        except StreamMoved as moved:
            attempts, unaccounted = attempts + 1, max(unaccounted, moved.gone)
    raise Unavailable(
        f"run {run.run_id} kept changing during {_ATTEMPTS} attempts; stop its workers and retry"
    )


class _Written:
    """The output of the fold besides sections and counters, within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._index: dict[str, str] = {}
        self._lines: deque[tuple[str, Fields]] = deque(maxlen=settings.log_max_lines)
        self._batches: deque[tuple[str, Fields]] = deque(maxlen=settings.batches_max_lines)
        self._parked: dict[str, ParkedEntry] = {}
        self._parked_bytes = 0

    def add(self, changes: Changes) -> None:
        """Add the changes of one page."""
        self._index |= changes.index
        self._lines += changes.lines
        self._batches += changes.batches
        for source_id in changes.requeued:
            self._remove_parked(source_id)
        for parked in changes.parked:
            self._parked[parked.entry_id] = parked
            self._parked_bytes += _size(parked)
        while len(self._parked) > self._settings.dead_letter_max_entries or (
            self._parked_bytes > self._settings.dead_letter_max_bytes and len(self._parked) > 1
        ):
            self._remove_parked(next(iter(self._parked)))

    def _remove_parked(self, source_id: str) -> None:
        parked = self._parked.pop(source_id, None)
        if parked is not None:
            self._parked_bytes -= _size(parked)

    def changes(self, aggregate: Aggregate) -> Changes:
        """Return everything that the new snapshot consists of."""
        return Changes(
            aggregate.version,
            dict(aggregate.state.sections),
            self._index,
            list(self._lines),
            list(self._batches),
            list(self._parked.values()),
            aggregate.coverage.counts,
            [],
        )


class _Rebuild:
    """One attempt.

    Args:
        client: of the server.
        run: the run.
        settings: of the workers.
        memo: from earlier attempts.
        unaccounted: entries of the snapshot that the stream never had, as an earlier attempt found; None: refuse to
            rebuild if an entry is missing.
    """

    def __init__(
        self,
        client: redis.Redis,
        run: RunKeys,
        settings: Settings,
        memo: RecoveryMemo,
        unaccounted: int | None,
    ) -> None:
        self._client = client
        self._run = run
        self._settings = settings
        self._unaccounted = unaccounted
        self._snapshot_counts = (0, 0)
        self._pages = StreamPages(client, run)
        self._aggregate = Aggregate(State(max_envs=settings.max_envs), memo=memo)
        self._written = _Written(settings)

    def run(self) -> RebuildResult:
        """Fold the stream up to the snapshot's version, and replace the snapshot."""
        version = self._snapshot_version()
        self._pages.begin()
        self._check_trimmed(version)
        self._fold_up_to(version)
        # The owner went on meanwhile. Folding its commits now keeps the lock short.
        self._fold_up_to(self._snapshot_version())
        while True:
            generation, version = self._lock()
            if self._fold_page(version):
                return self._replace(generation, version)

    def _snapshot_version(self) -> str:
        names = ("version", "schema", "entries", "duplicates")
        version, *numbers = cast("list[bytes | None]", self._client.hmget(self._run.checkpoint, *names))
        written_in, entries, duplicates = [int(text) if text and text.isdigit() else 0 for text in numbers]
        self._snapshot_counts = (entries, duplicates)
        if written_in > SCHEMA_VERSION:
            raise Unavailable(schema.newer(self._run.run_id, written_in))
        if version in {None, b"", ZERO.encode(), b"torn"}:
            raise Unavailable(
                f"cannot rebuild run {self._run.run_id}: it has no whole snapshot. A worker folds it from its first entry"
            )
        return (version or b"").decode()

    def _lock(self) -> tuple[str, str]:
        locked = calls.run(self._client, calls.lock_run(self._run, _LOCK_MS))
        return locked[0].decode() if locked else "", self._snapshot_version()

    def _check_trimmed(self, version: str) -> None:
        pages, run_id = self._pages, self._run.run_id
        if not pages.first or less(version, pages.first):
            raise Unavailable(f"cannot rebuild run {run_id}: its stream has been fully trimmed")
        if pages.missing and self._unaccounted is None:
            raise Unavailable(
                f"cannot rebuild run {run_id}: its stream was trimmed, {pages.missing:,} entries are missing, and the first "
                f"entry is {pages.first}. With --partial, the rebuild starts there and counts the missing entries as lost"
            )
        if pages.missing or self._unaccounted:
            lost_until = pages.first if pages.deleted == ZERO else pages.deleted
            self._aggregate.record_trim(lost_until, pages.missing + (self._unaccounted or 0))

    def _check_replaced(self) -> None:
        """Check that the stream accounts for every entry of the snapshot. A deleted stream may have been replaced.

        Entries that the snapshot counts as duplicates and this fold does not were read twice, from both streams.
        """
        (entries, duplicates), counters = self._snapshot_counts, self._aggregate.counters
        read_twice = max(0, duplicates - counters.duplicates)
        gone = entries - read_twice - counters.entries - self._pages.missing
        if gone <= (self._unaccounted or 0):
            return
        if self._unaccounted is not None:
            raise StreamMoved(gone)
        raise Unavailable(
            f"cannot rebuild run {self._run.run_id}: its snapshot has {entries:,} entries, and its stream, which was "
            f"replaced, has {entries - gone:,} of them. With --partial, the rebuild folds these and counts the others as "
            "lost"
        )

    def _fold_up_to(self, version: str) -> None:
        while not self._fold_page(version):
            pass

    def _fold_page(self, version: str) -> bool:
        """Fold one page; return whether it was the last one up to the version."""
        if less(version, self._pages.cursor):
            raise StreamMoved
        for entry_id, entry in self._pages.page(version):
            self._aggregate.apply(entry_id, entry)
        self._written.add(self._aggregate.drain_changes())
        if not self._pages.at_end:
            return False
        self._check_replaced()
        return True

    def _replace(self, generation: str, version: str) -> RebuildResult:
        run, pages, counters = self._run, self._pages, self._aggregate.counters
        changes = self._written.changes(self._aggregate)
        arguments: list[Any] = [run.base, generation, version, pages.first, pages.missing]
        arguments += (run.changed, change_notification(changes.sections, generation, version))
        arguments += build(changes, counters.to_checkpoint(), self._settings)
        reply = calls.run(self._client, calls.replace_snapshot(run, changes.sections, arguments))
        if reply[0] != b"ok":
            raise StreamMoved
        missing = pages.missing + (self._unaccounted or 0)
        return RebuildResult(
            int(generation),
            version,
            counters.entries,
            counters.events,
            counters.parked,
            counters.lost,
            missing,
        )


def _size(parked: ParkedEntry) -> int:
    return sum(map(len, parked.entry.values()))
