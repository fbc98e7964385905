"""What is done to a run from outside: removing it, and putting back or dropping what could not be folded."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

import redis
from redis.exceptions import ResponseError

from sanctum_bus import keys
from sanctum_bus.arguments import counted, raw_of
from sanctum_bus.errors import NotNow, UnknownRun
from sanctum_bus.keys import RunKeys
from sanctum_bus.scripts import script
from sanctum_bus.wire import fields as wire
from sanctum_bus.wrong_types import WrongType, answered, fixed_rows, is_wrong_type, question, refusal, shared

Act = TypeVar("Act", bound=Callable[..., Any])

#: Dead letters that are read, moved or dropped at once.
_PAGE = 50

#: Fields that a script can add to a stream at once: the server's Lua hands on 8,000 values at most.
_MAX_FIELDS = 3500

#: Fields of an entry that one which stands for it does not have: it has no part in the rule of numbers.
_NOT_PUT_BACK = {name.encode() for name in (wire.PRODUCER, wire.SEQ, wire.REQUEUED_FROM)}

_NOT_NOW = {
    "snapshot": "run {run} has no whole snapshot: let a worker fold it first",
    "behind": "run {run} is being folded anew and has not yet come to {seen}: try again when it has",
}


def run_script(client: redis.Redis, name: str, names: Iterable[str], *arguments: Any) -> Any:
    """Run a script by its text."""
    key_names = list(names)
    return client.execute_command("EVAL", script(name).text, len(key_names), *key_names, *arguments)


def wrong_keys(client: redis.Redis, run: RunKeys) -> list[WrongType]:
    """Return the keys of a run that have the wrong type."""
    return answered(run, client.execute_command(*question(run)))


def wrong_shared(client: redis.Redis, prefix: str) -> list[WrongType]:
    """Return those of the keys that no run owns which have the wrong type."""
    return shared(prefix, {key: client.type(key) for key in fixed_rows(prefix)})


def naming_keys(act: Act) -> Act:
    """Let an act on a run, where the server refuses it for the type of a key, raise `NotNow` that names the key."""

    @wraps(act)
    def named(client: redis.Redis, run: RunKeys, *args: Any, **given: Any) -> Any:
        try:
            return act(client, run, *args, **given)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            wrong = wrong_keys(client, run) + wrong_shared(client, run.prefix)
            raise refusal(f"run {run.run_id}", wrong) from error

    return cast("Act", named)


def must_exist(client: redis.Redis, run: RunKeys) -> None:
    """Refuse a run of which there is nothing.

    Raises:
        UnknownRun: there is nothing.
    """
    if not client.exists(*run.fixed):
        raise _unknown(run)


def _unknown(run: RunKeys) -> UnknownRun:
    return UnknownRun(f"there is no run {run.run_id!r} on this server; `sanctum runs` lists what there is")


@naming_keys
def remove_run(client: redis.Redis, run: RunKeys) -> int:
    """Remove every key of a run at once, then its name from the index; return how many keys there were.

    A producer that still publishes brings the run back, with what it publishes from then on.

    Raises:
        UnknownRun: there is nothing to remove.
        RedisError: the server could not be asked.
    """
    # The index of sections comes first in `fixed`: by it the script finds the keys that have no fixed name.
    removed = cast("int", run_script(client, "remove", run.fixed, run.base))
    listed = cast("int", client.execute_command("ZREM", keys.runs(run.prefix), run.run_id))
    if not removed and not listed:
        raise _unknown(run)
    return removed


@dataclass(slots=True)
class Handled:
    """What became of dead letters, each under the id that its entry had in the stream.

    Args:
        done: those that were put back, with the id of the entry that stands for each now; or dropped, with "".
        missing: asked for, and not there: put back or dropped before, or never there.
        refused: those that cannot be put back, with the reason.
    """

    done: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def note_missing(self, wanted: Collection[str] | None) -> "Handled":
        """Note what was asked for and not there, and return this."""
        self.missing = [one for one in wanted or () if one not in self.done and one not in self.refused]
        return self


@naming_keys
def requeue(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> Handled:
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
    handled = Handled()
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
            raise NotNow(_NOT_NOW[reason].format(run=run.run_id, seen=seen))
        for (letter, _), entry_id in zip(movable, added, strict=True):
            if entry_id:
                handled.done[letter.source_id] = entry_id
    return handled.note_missing(wanted)


@naming_keys
def drop(client: redis.Redis, run: RunKeys, wanted: Collection[str] | None) -> Handled:
    """Drop dead letters for good. How many entries were parked stays counted.

    Args:
        client: of the server.
        run: the run.
        wanted: the ids that the entries had in the stream; None for all letters that there are now.

    Raises:
        UnknownRun: there is no such run.
        RedisError: the server could not be asked.
    """
    handled = Handled()
    for page in _pages(client, run, wanted):
        client.xdel(run.dead, *(letter.id for letter in page))
        handled.done |= dict.fromkeys((letter.source_id for letter in page), "")
    return handled.note_missing(wanted)


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
    return counted([item for pair in entry.items() for item in pair])
