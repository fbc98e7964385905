"""What the worker asks of the server: take over, load, read, commit. The only module of the worker that knows redis-py.

Every promise about atomicity is kept by one script each; see `scripts/`.
"""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from sanctum_bus.errors import CommitRefused, RestartRun, UnknownSchema
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.counters import Counters
from sanctum_bus.fold.coverage import Coverage
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.state import State
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Entries, Fields
from sanctum_bus.protocol.key_types import answered
from sanctum_bus.protocol.keys import CONSUMER, GROUP, RunKeys
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.protocol.scripts import script
from sanctum_bus.protocol.text import decode_fields
from sanctum_bus.protocol.text_msgspec import encode_fields
from sanctum_bus.worker import commit_arguments as args
from sanctum_bus.worker.settings import Settings


class Lease(NamedTuple):
    """What a take-over brought.

    Args:
        attempts: take-overs since the last commit; from the third on something may be killing its readers.
        fresh: a new history begins; there was no whole checkpoint.
        trimmed_until: id up to which the stream was trimmed before it was read, or "".
        trimmed_entries: how many entries that took.
        has_stream: there is something to read from; workers never create a stream.
    """

    generation: str
    version: str
    attempts: int
    fresh: bool
    trimmed_until: str
    trimmed_entries: int
    has_stream: bool


@dataclass(slots=True)
class InFlight:
    """The entries that were delivered and not yet committed, in order.

    Args:
        ids: of those that are folded, and that a commit acknowledges.
        size: bytes of their values.
        ahead: ids of those behind them that are not folded yet.
    """

    ids: list[str]
    size: int = 0
    ahead: list[str] = field(default_factory=list)

    @property
    def span(self) -> tuple[int, str, str]:
        """How many, the least, the greatest."""
        ends = [*self.ids[:1], *self.ids[-1:], *self.ahead[:1], *self.ahead[-1:]]
        return (len(self.ids) + len(self.ahead), ends[0], ends[-1]) if ends else (0, "", "")


class RunStore:
    """One run's side of the server.

    Args:
        client: makes no retries of its own.
        blocking: likewise; its replies may take `poll_timeout_ms` longer.
    """

    def __init__(self, client: Redis, blocking: Redis, run: RunKeys, settings: Settings) -> None:
        self._client = client
        self._blocking = blocking
        self._run = run
        self._settings = settings
        self._written: dict[str, args.WrittenSection] = {}

    async def take_over(self, owner: str, *, innocent: bool) -> Lease | None:
        """Make this worker the run's owner, and set the group to the checkpoint's version.

        Args:
            owner: the worker's id.
            innocent: the last attempt failed for a reason outside the entries.

        Returns:
            None where there is no such run.

        Raises:
            StartOver: a key of the run has the wrong type, and somebody has to look at it; or the run is held; or a
                newer version wrote the snapshot.
        """
        run = self._run
        arguments = (run.base, GROUP, owner, int(innocent), SCHEMA_VERSION, schema.oldest())
        reply = await self._script("takeover", run.written, arguments)
        word, *rest = [item.decode() if isinstance(item, bytes) else item for item in reply]
        if word == "gone":
            return None
        if word == "held":
            raise RestartRun("held", "somebody is just putting another snapshot in its place")
        if word == "newer":
            raise RestartRun("schema", schema.newer(run.run_id, rest[0]))
        if word == "wrongtype":
            raise RestartRun("wrongtype", str(answered(run, reply[1:])[0]))
        generation, version, attempts, fresh, trimmed, entries, source = rest
        return Lease(generation, version, int(attempts), fresh == "1", trimmed, int(entries), source == "1")

    async def load(self, taken: Lease, memo: RecoveryMemo) -> Aggregate:
        """Rebuild the aggregate from the snapshot, by one read.

        Sections of an older schema are brought up to date, and are among what the first commit writes.

        Args:
            taken: what the take-over brought.
            memo: of earlier attempts.

        Raises:
            StartOver: the snapshot is not the one that was taken over.
        """
        run = self._run
        self._written.clear()
        names = (run.events, run.checkpoint, run.sections, run.coverage, run.recent, run.none)
        reply = await self._script("read", names, (run.base, "", "", "1", "sections"))
        checkpoint = decode_fields(reply[0])
        if (str(checkpoint.get("generation")), checkpoint.get("version")) != (
            taken.generation,
            taken.version,
        ):
            raise RestartRun(
                "load", f"found generation {checkpoint.get('generation')} and not {taken.generation}"
            )
        flat = reply[7:]
        sections = {
            name.decode(): decode_fields(fields) for name, fields in zip(flat[::2], flat[1::2], strict=True)
        }
        if not all(sections.values()):
            raise RestartRun("load", "a section went while the snapshot was read")
        aggregate = Aggregate(
            self._state(sections, checkpoint.get("schema"), taken.version),
            _counters(checkpoint),
            Coverage({name: int(times) for name, times in decode_fields(reply[2]).items()}),
            taken.version,
            memo,
        )
        if taken.trimmed_until:
            aggregate.record_trim(taken.trimmed_until, taken.trimmed_entries)
        return aggregate

    def _state(self, sections: dict[str, Fields], written_in: Any, version: str) -> State:
        try:
            found = schema.check(self._run.run_id, written_in)
        except UnknownSchema as error:
            raise RestartRun("schema", str(error)) from error
        state = State(schema.upgrade(sections, found), max_envs=self._settings.max_envs)
        if found != SCHEMA_VERSION:
            state.changed.update(dict.fromkeys(sections, version))
        return state

    async def read(self, count: int) -> Entries:
        """Return the next entries, at once; they are pending until a commit acknowledges them.

        Raises:
            StartOver: the group or the stream is gone.
        """
        try:
            return _entries(await self._client.execute_command(*self._reading(count)))
        except ResponseError as error:
            return _entries(error)

    def _reading(self, count: int) -> tuple[str | int, ...]:
        return ("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", self._run.events, ">")

    async def wait(self, version: str) -> bool:
        """Wait until the stream holds an entry after the version, at most `poll_timeout_ms`; changes nothing."""
        return bool(await self._blocking.execute_command(*self._waiting(version)))

    async def wait_and_read(self, version: str, count: int) -> Entries:
        """Wait as `wait` does, and read as `read` does the moment it is over: one request, and nobody wakes between.

        Raises:
            StartOver: the group or the stream is gone.
            ResponseError: the server refuses either; a wait that is refused must not become a loop without one.
        """
        pipeline = self._blocking.pipeline(transaction=False)
        pipeline.execute_command(*self._waiting(version))
        pipeline.execute_command(*self._reading(count))
        _, found = map(_entries, await pipeline.execute(raise_on_error=False))
        return found

    def _waiting(self, version: str) -> tuple[str | int, ...]:
        return (
            "XREAD",
            "COUNT",
            1,
            "BLOCK",
            self._settings.poll_timeout_ms,
            "STREAMS",
            self._run.events,
            version,
        )

    def commit(
        self,
        aggregate: Aggregate,
        taken: Lease,
        old_version: str,
        held: InFlight,
        trim_before: str,
        *,
        count: int = 0,
    ) -> Awaitable[Entries]:
        """Write what changed, the version and the acknowledgement in one atomic step; right behind it, read on.

        What is written is settled at once; the aggregate may be fed while the commit is awaited.

        Args:
            aggregate: what was folded.
            taken: the fence.
            old_version: that the fold started from.
            held: the entries that were folded, and those delivered behind them.
            trim_before: id before which the stream may be trimmed, or "".
            count: of the entries to read then; 0: none.

        Returns:
            The next entries, as `read` does.

        Raises:
            Refused: a guard refused it; nothing was written.
            StartOver: the group or the stream is gone.
        """
        changes = aggregate.drain_changes()
        section_keys = [self._run.section(name) for name in changes.sections]
        run = self._run
        version = held.ids[-1] if held.ids else old_version
        arguments: list[Any] = [GROUP, taken.generation, old_version, version, *held.span]
        arguments += [len(held.ids), *held.ids]
        arguments += args.sections(changes, self._written)
        arguments += args.with_length(encode_fields(args.checkpoint(aggregate.counters)))
        arguments += args.with_length(encode_fields(changes.coverage))
        arguments += args.lines(changes.lines, self._settings.log_max_lines)
        arguments += args.lines(changes.batches, self._settings.batches_max_lines)
        arguments += args.with_length(changes.put_back)
        arguments += args.parked(changes.parked, self._settings.dead_letter_max_entries)
        arguments += [self._settings.dead_letter_max_entries, self._settings.dead_letter_max_bytes]
        hint = args.hint(changes.sections, taken.generation, version)
        arguments += [trim_before, run.changed, hint]
        return self._commit((*run.written, *section_keys), arguments, count)

    async def _commit(self, names: Sequence[str], arguments: list[Any], count: int) -> Entries:
        if count:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.execute_command("EVALSHA", script("commit").digest, len(names), *names, *arguments)
            pipeline.execute_command(*self._reading(count))
            reply, found = await pipeline.execute(raise_on_error=False)
        else:
            reply, found = await self._script("commit", names, arguments), None
        if isinstance(reply, NoScriptError):
            reply = await self._script("commit", names, arguments)
        if isinstance(reply, Exception):
            raise reply
        if reply[0] != b"ok":
            raise CommitRefused(reply[1].decode(), reply[2].decode())
        return _entries(found)

    async def give_up(self, taken: Lease, *, asleep: bool) -> bool:
        """Say that nobody owns the run any more; to sleep only if nothing is unread. Return whether it was done."""
        run = self._run
        names = (run.events, run.checkpoint, run.sections, run.none)
        return bool(await self._script("sleep", names, (taken.generation, int(asleep), GROUP)))

    async def _script(self, name: str, names: Iterable[str], arguments: Iterable[Any]) -> Any:
        return await run_script(self._client, name, names, arguments)


async def run_script(client: Redis, name: str, names: Iterable[str], arguments: Iterable[Any]) -> Any:
    """Run a script by its digest, or by its text where the server does not know it yet."""
    text, digest = script(name)
    key_names = list(names)
    call = (len(key_names), *key_names, *arguments)
    try:
        return await client.execute_command("EVALSHA", digest, *call)
    except NoScriptError:
        # Nothing was executed, so nothing is done twice.
        return await client.execute_command("EVAL", text, *call)


def _entries(reply: Any) -> Entries:
    if isinstance(reply, ResponseError) and str(reply).startswith(("NOGROUP", "UNBLOCKED", "WRONGTYPE")):
        raise RestartRun("group", str(reply)) from reply
    if isinstance(reply, Exception):
        raise reply
    return reply or []


def _counters(checkpoint: Fields) -> Counters:
    return Counters(
        checkpoint.get("entries", 0),
        checkpoint.get("events", 0),
        checkpoint.get("parked", 0),
        checkpoint.get("duplicates", 0),
        checkpoint.get("lost", {}),
        checkpoint.get("lost_ranges", []),
        checkpoint.get("producers", {}),
        checkpoint.get("closed", []),
        checkpoint.get("marks", []),
    )
