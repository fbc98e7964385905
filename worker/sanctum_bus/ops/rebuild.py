"""Folding a run anew: the whole stream up to the snapshot's version, in this process, while the old snapshot stays.

The worker that owns the run goes on meanwhile. Only for the switch is the run held still: its owner is fenced, nobody
takes it over for a moment, what it committed last is folded too, and one script puts the new snapshot in the place of
the old one, with the version unchanged. Then the owner takes the run over again by itself, and goes on from there.
"""

from collections import deque
from typing import Any, NamedTuple, cast

import redis

from sanctum_bus.errors import RestartRun, StreamMoved, Unavailable
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.changes import Changes, Parked
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.state import State
from sanctum_bus.ops.runs import must_exist, naming_keys, run_script
from sanctum_bus.ops.stream_pages import StreamPages
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.stream_id import ZERO, less
from sanctum_bus.protocol.text_msgspec import encode_fields
from sanctum_bus.worker import commit_arguments as args
from sanctum_bus.worker.settings import Settings

#: How long the run is held still, in ms, each time that it is said.
_HOLD_MS = 5000

#: How often it is tried where the stream is trimmed, or the run taken over, at the wrong moment.
_TRIES = 5


class RebuildResult(NamedTuple):
    """What a rebuild brought.

    Args:
        missing: entries that the stream no longer had.
    """

    generation: int
    version: str
    entries: int
    events: int
    parked: int
    lost: dict[str, int]
    missing: int


@naming_keys
def rebuild_run(
    client: redis.Redis, run: RunKeys, settings: Settings, *, partial: bool = False
) -> RebuildResult:
    """Fold a run's stream from its first entry, and put the result in the place of its snapshot.

    Args:
        client: of the server.
        run: the run.
        settings: those of the workers: the limits have a part in what is folded.
        partial: do so even where the stream was trimmed, or is another one; what it no longer has is counted as lost.

    Raises:
        UnknownRun: there is no such run.
        NotNow: there is no stream or no whole snapshot, the stream was trimmed or is another one, the run does not hold
            still, or the stream or the checkpoint has the wrong type.
        RedisError: the server could not be asked; the snapshot is either the old one or the new one.
    """
    must_exist(client, run)
    memo, tries, gone = RecoveryMemo(trusts_gaps=True), 0, 0
    while tries < _TRIES:
        try:
            return _Rebuild(client, run, settings, memo, gone if partial else None).work()
        except RestartRun as error:
            if not memo.record(error):
                raise
        except StreamMoved as again:
            tries, gone = tries + 1, max(gone, again.gone)
    raise Unavailable(
        f"run {run.run_id} did not hold still in {_TRIES} attempts: try again, or stop its workers"
    )


class _Rebuild:
    """One attempt.

    Args:
        client: of the server.
        run: the run.
        settings: those of the workers.
        memo: of earlier attempts.
        gone: entries of the snapshot that are known to be none of the stream's; None: whatever is missing is refused.
    """

    def __init__(
        self, client: redis.Redis, run: RunKeys, settings: Settings, memo: RecoveryMemo, gone: int | None
    ) -> None:
        self._client = client
        self._run = run
        self._settings = settings
        self._gone = gone
        self._told: list[int] = []
        self._source = StreamPages(client, run)
        self._aggregate = Aggregate(State(max_envs=settings.max_envs), memo=memo)
        self._index: dict[str, str] = {}
        self._lines: deque[tuple[str, Fields]] = deque(maxlen=settings.log_max_lines)
        self._batches: deque[tuple[str, Fields]] = deque(maxlen=settings.batches_max_lines)
        self._parked: dict[str, Parked] = {}
        self._parked_bytes = 0

    def work(self) -> RebuildResult:
        """Fold all there is, and switch."""
        version = self._version()
        self._source.begin()
        self._check_whole(version)
        while not self._advance(version):
            pass
        # While that was folded the owner went on; the run is held still for what is left after this.
        version = self._version()
        while not self._advance(version):
            pass
        while True:
            generation, version = self._hold()
            if self._advance(version):
                return self._switch(generation, version)

    def _version(self) -> str:
        names = ("version", "schema", "entries", "duplicates")
        version, *told = cast("list[bytes | None]", self._client.hmget(self._run.checkpoint, *names))
        written_in, *self._told = [int(text) if text and text.isdigit() else 0 for text in told]
        if written_in > SCHEMA_VERSION:
            raise Unavailable(schema.newer(self._run.run_id, written_in))
        return self._whole((version or b"").decode())

    def _whole(self, version: str) -> str:
        if version in {"", ZERO, "torn"}:
            raise Unavailable(
                f"run {self._run.run_id} has no whole snapshot: a worker folds it from its first entry by itself"
            )
        return version

    def _hold(self) -> tuple[str, str]:
        held = run_script(self._client, "hold", (self._run.checkpoint, self._run.none), _HOLD_MS)
        return held[0].decode() if held else "", self._version()

    def _check_whole(self, version: str) -> None:
        source, run_id = self._source, self._run.run_id
        if not source.first or less(version, source.first):
            raise Unavailable(f"the stream of run {run_id} holds nothing any more of what was folded")
        if source.missing and self._gone is None:
            raise Unavailable(
                f"the stream of run {run_id} was trimmed: {source.missing:,} entries are gone, the first that is left is "
                f"{source.first}; with --partial it is folded from there, and what is missing is counted as lost"
            )
        if source.missing or self._gone:
            lost_until = source.first if source.deleted == ZERO else source.deleted
            self._aggregate.record_trim(lost_until, source.missing + (self._gone or 0))

    def _check_history(self) -> None:
        """See whether the stream can account for all of the snapshot: somebody may have deleted it and begun another.

        What the snapshot has passed over and this fold has not is there only once more: it stands for what is gone.
        """
        (entries, duplicates), counters = self._told, self._aggregate.counters
        again = max(0, duplicates - counters.duplicates)
        gone = entries - again - counters.entries - self._source.missing
        if gone <= (self._gone or 0):
            return
        if self._gone is not None:
            raise StreamMoved(gone)
        raise Unavailable(
            f"the snapshot of run {self._run.run_id} was folded from {entries:,} entries, and its stream, which is "
            f"another one by now, accounts for {entries - gone:,} of them; with --partial what is left is folded, and "
            "the rest is counted as lost"
        )

    def _advance(self, version: str) -> bool:
        """Fold one page; return whether that was all up to the version."""
        if less(version, self._source.cursor):
            raise StreamMoved
        for entry_id, entry in self._source.page(version):
            self._aggregate.apply(entry_id, entry)
        self._collect(self._aggregate.drain_changes())
        if not self._source.at_end:
            return False
        self._check_history()
        return True

    def _collect(self, changes: Changes) -> None:
        self._index |= changes.index
        self._lines += changes.lines
        self._batches += changes.batches
        for source_id in changes.put_back:
            self._forget(source_id)
        for parked in changes.parked:
            self._parked[parked.entry_id] = parked
            self._parked_bytes += _size(parked)
        while len(self._parked) > self._settings.dead_letter_max_entries or (
            self._parked_bytes > self._settings.dead_letter_max_bytes and len(self._parked) > 1
        ):
            self._forget(next(iter(self._parked)))

    def _forget(self, source_id: str) -> None:
        parked = self._parked.pop(source_id, None)
        if parked is not None:
            self._parked_bytes -= _size(parked)

    def _switch(self, generation: str, version: str) -> RebuildResult:
        run, source, counters = self._run, self._source, self._aggregate.counters
        sections = self._aggregate.state.sections
        arguments = [run.base, generation, version, source.first, source.missing, *self._contents()]
        arguments += [run.changed, args.hint(sections, generation, version)]
        section_keys = [run.section(name) for name in sections]
        reply = run_script(self._client, "replace", (*run.written, *section_keys), *arguments)
        if reply[0] != b"ok":
            raise StreamMoved
        return RebuildResult(
            int(generation),
            version,
            counters.entries,
            counters.events,
            counters.parked,
            counters.lost,
            source.missing + (self._gone or 0),
        )

    def _contents(self) -> list[Any]:
        aggregate, settings = self._aggregate, self._settings
        changes = Changes(
            aggregate.version,
            dict(aggregate.state.sections),
            self._index,
            list(self._lines),
            list(self._batches),
            list(self._parked.values()),
            aggregate.coverage.counts,
            [],
        )
        return [
            *args.sections(changes),
            *args.with_length(encode_fields(args.checkpoint(aggregate.counters))),
            *args.with_length(encode_fields(changes.coverage)),
            *args.lines(changes.lines, settings.log_max_lines),
            *args.lines(changes.batches, settings.batches_max_lines),
            *args.parked(changes.parked, settings.dead_letter_max_entries),
            settings.dead_letter_max_entries,
        ]


def _size(parked: Parked) -> int:
    return sum(map(len, parked.entry.values()))
