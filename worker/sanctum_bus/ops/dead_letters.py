"""Dead letters: moving them back into the stream, and deleting them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import redis

from sanctum_bus.errors import Unavailable
from sanctum_bus.ops.runs import explain_wrong_types, require_run
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.dead_letter import raw_of
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.worker.commit_arguments import with_length

#: Why `requeue.lua` refuses, by its reason.
_REFUSALS = {
    "snapshot": "run {run} has no whole snapshot: wait until a worker has processed it",
    "behind": "run {run} is being processed again and has not reached entry {seen}: retry when it has",
}

#: Dead letters that are read, moved or deleted in one step.
_PAGE = 50

#: Fields of an entry that a script can add to a stream: a Lua call passes at most 8,000 values to the server.
_MAX_FIELDS = 3500

#: Fields that a requeued entry does not have. Without a sequence number it cannot cause a gap or be a duplicate.
_NOT_REQUEUED = {name.encode() for name in (wire.PRODUCER, wire.SEQ, wire.REQUEUED_FROM)}


@dataclass(slots=True)
class RequeueResult:
    """The outcome for each dead letter. Each is named by the ID that its entry had in the stream.

    Args:
        done: requeued dead letters with the IDs of their new entries; deleted ones with "".
        missing: wanted IDs that have no dead letter: requeued or deleted before, or never there.
        refused: dead letters that cannot be requeued, with the reason.
    """

    done: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def record_missing(self, wanted: Collection[str] | None) -> "RequeueResult":
        """Record the wanted IDs that were not found, and return this result."""
        self.missing = [one for one in wanted or () if one not in self.done and one not in self.refused]
        return self


@explain_wrong_types
def requeue(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> RequeueResult:
    """Move dead letters back into the stream, each exactly once, however often this is called.

    The new entry names the parked one in `requeued_from`, and has neither `producer` nor `seq`. If it cannot be folded
    again, it is parked again under its own ID.

    Args:
        client: of the server.
        run: the run.
        wanted: the IDs that the entries had in the stream; None: all dead letters that exist now.

    Raises:
        UnknownRun: the run does not exist.
        Unavailable: there is no whole snapshot, a new history has not reached the dead letters, or a key has the wrong
            type; the dead letters of earlier pages are requeued.
        RedisError: the server could not execute a request. A repeated call does not requeue a dead letter twice.
    """
    result = RequeueResult()
    for page in _pages(client, run, wanted):
        movable = []
        for letter in page:
            entry = letter.requeued()
            if len(entry) > _MAX_FIELDS:
                result.refused[letter.source_id] = (
                    f"it has {len(entry):,} fields; at most {_MAX_FIELDS:,} can be requeued"
                )
            else:
                movable.append((letter, entry))
        # First, so that a worker acquires an idle run even if this process ends before the next step.
        calls.run(client, calls.mark_active(keys.runs(run.prefix), run.run_id))
        flat = [item for letter, entry in movable for item in (letter.id, *_flat(entry))]
        word, *added = [item.decode() for item in calls.run(client, calls.requeue(run, flat))]
        if word == "refused":
            reason, seen = added
            raise Unavailable(_REFUSALS[reason].format(run=run.run_id, seen=seen))
        for (letter, _), entry_id in zip(movable, added, strict=True):
            if entry_id:
                result.done[letter.source_id] = entry_id
    return result.record_missing(wanted)


@explain_wrong_types
def delete(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> RequeueResult:
    """Delete dead letters permanently. The counter of parked entries stays.

    Args:
        client: of the server.
        run: the run.
        wanted: the IDs that the entries had in the stream; None: all dead letters that exist now.

    Raises:
        UnknownRun: the run does not exist.
        Unavailable: a key has the wrong type.
        RedisError: the server could not execute a request.
    """
    result = RequeueResult()
    for page in _pages(client, run, wanted):
        client.xdel(run.dead, *(letter.id for letter in page))
        result.done |= dict.fromkeys((letter.source_id for letter in page), "")
    return result.record_missing(wanted)


class _DeadLetter(NamedTuple):
    """One dead letter.

    Args:
        id: its own stream ID.
        source_id: the ID that its entry had in the stream; its own ID if it names none.
        fields: as stored.
    """

    id: str
    source_id: str
    fields: dict[bytes, bytes]

    def requeued(self) -> dict[bytes, bytes]:
        """Return the entry to add to the stream."""
        kept = {name: value for name, value in raw_of(self.fields).items() if name not in _NOT_REQUEUED}
        return kept | {wire.REQUEUED_FROM.encode(): self.source_id.encode()}


def _pages(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> Iterator[list[_DeadLetter]]:
    """Yield the wanted ones of the dead letters that exist now. One that is parked again meanwhile is not included."""
    require_run(client, run)
    if not client.exists(run.dead):
        return
    last = cast("dict[str, bytes]", client.xinfo_stream(run.dead))["last-generated-id"]
    after = "-"
    while rows := cast("list[Any]", client.xrange(run.dead, min=after, max=last, count=_PAGE)):
        page = [_dead_letter(letter_id.decode(), fields) for letter_id, fields in rows]
        after = f"({page[-1].id}"
        if found := [letter for letter in page if wanted is None or letter.source_id in wanted]:
            yield found


def _dead_letter(letter_id: str, fields: dict[bytes, bytes]) -> _DeadLetter:
    source_id = fields.get(b"source_id", b"").decode("ascii", "replace") or letter_id
    return _DeadLetter(letter_id, source_id, fields)


def _flat(entry: dict[bytes, bytes]) -> list[Any]:
    return with_length([item for pair in entry.items() for item in pair])
