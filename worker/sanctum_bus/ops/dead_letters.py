"""Dead letters: putting them back into the stream, and deleting them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import redis

from sanctum_bus.errors import Unavailable
from sanctum_bus.ops.runs import must_exist, naming_keys, run_script
from sanctum_bus.protocol import entry as wire
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.dead_letter import raw_of
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.worker.commit_arguments import with_length

_NOT_NOW = {
    "snapshot": "run {run} has no whole snapshot: let a worker fold it first",
    "behind": "run {run} is being folded anew and has not yet come to {seen}: try again when it has",
}


#: Dead letters that are read, moved or dropped at once.
_PAGE = 50


#: Fields that a script can add to a stream at once: the server's Lua hands on 8,000 values at most.
_MAX_FIELDS = 3500


#: Fields of an entry that one which stands for it does not have: it has no part in the rule of numbers.
_NOT_PUT_BACK = {name.encode() for name in (wire.PRODUCER, wire.SEQ, wire.REQUEUED_FROM)}


@dataclass(slots=True)
class RequeueResult:
    """What became of dead letters, each under the id that its entry had in the stream.

    Args:
        done: those that were put back, with the id of the entry that stands for each now; or dropped, with "".
        missing: asked for, and not there: put back or dropped before, or never there.
        refused: those that cannot be put back, with the reason.
    """

    done: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def record_missing(self, wanted: Collection[str] | None) -> "RequeueResult":
        """Note what was asked for and not there, and return this."""
        self.missing = [one for one in wanted or () if one not in self.done and one not in self.refused]
        return self


@naming_keys
def requeue(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> RequeueResult:
    """Put dead letters back into the stream, each exactly once, however often this is called.

    The entry that stands for a letter names the parked one in `requeued_from`, and has neither `producer` nor `seq`.
    One that cannot be folded again is parked again, under its own id.

    Args:
        client: of the server.
        run: the run.
        wanted: the ids that the entries had in the stream; None for all letters that there are now.

    Raises:
        UnknownRun: there is no such run.
        NotNow: there is no whole snapshot, it is being folded anew, or a key has the wrong type; the letters of earlier
            pages are put back.
        RedisError: the server could not be asked. What was put back by then is not put back again.
    """
    handled = RequeueResult()
    for page in _pages(client, run, wanted):
        movable = []
        for letter in page:
            entry = letter.stand_in()
            if len(entry) > _MAX_FIELDS:
                handled.refused[letter.source_id] = f"{len(entry):,} fields are over {_MAX_FIELDS:,}"
            else:
                movable.append((letter, entry))
        # First, so that a run that sleeps is awake for what comes, even if this process goes in between.
        run_script(client, "touch", (keys.runs(run.prefix),), run.run_id)
        flat = [item for letter, entry in movable for item in (letter.id, *_flat(entry))]
        names = (run.events, run.checkpoint, run.dead, run.none)
        word, *added = [item.decode() for item in run_script(client, "requeue", names, *flat)]
        if word == "refused":
            reason, seen = added
            raise Unavailable(_NOT_NOW[reason].format(run=run.run_id, seen=seen))
        for (letter, _), entry_id in zip(movable, added, strict=True):
            if entry_id:
                handled.done[letter.source_id] = entry_id
    return handled.record_missing(wanted)


@naming_keys
def drop(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> RequeueResult:
    """Drop dead letters for good. How many entries were parked stays counted.

    Args:
        client: of the server.
        run: the run.
        wanted: the ids that the entries had in the stream; None for all letters that there are now.

    Raises:
        UnknownRun: there is no such run.
        RedisError: the server could not be asked.
    """
    handled = RequeueResult()
    for page in _pages(client, run, wanted):
        client.xdel(run.dead, *(letter.id for letter in page))
        handled.done |= dict.fromkeys((letter.source_id for letter in page), "")
    return handled.record_missing(wanted)


class _Letter(NamedTuple):
    """One dead letter.

    Args:
        source_id: the id that its entry had in the stream; its own where it does not say.
    """

    id: str
    source_id: str
    fields: dict[bytes, bytes]

    def stand_in(self) -> dict[bytes, bytes]:
        """Return the entry that stands for the parked one."""
        kept = {name: value for name, value in raw_of(self.fields).items() if name not in _NOT_PUT_BACK}
        return kept | {wire.REQUEUED_FROM.encode(): self.source_id.encode()}


def _pages(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> Iterator[list[_Letter]]:
    """Yield the letters that are meant, of those that there are now: one that comes back meanwhile is not met again."""
    must_exist(client, run)
    if not client.exists(run.dead):
        return
    last = cast("dict[str, bytes]", client.xinfo_stream(run.dead))["last-generated-id"]
    after = "-"
    while rows := cast("list[Any]", client.xrange(run.dead, min=after, max=last, count=_PAGE)):
        letters = [_letter(letter_id.decode(), fields) for letter_id, fields in rows]
        after = f"({letters[-1].id}"
        if meant := [letter for letter in letters if wanted is None or letter.source_id in wanted]:
            yield meant


def _letter(letter_id: str, fields: dict[bytes, bytes]) -> _Letter:
    return _Letter(letter_id, fields.get(b"source_id", b"").decode("ascii", "replace") or letter_id, fields)


def _flat(entry: dict[bytes, bytes]) -> list[Any]:
    return with_length([item for pair in entry.items() for item in pair])
