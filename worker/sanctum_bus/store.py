"""What the worker asks of the server: take over, load, read, commit. The only module of the worker that knows redis-py.

Every promise about atomicity is kept by one script each; see `scripts/`.
"""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from sanctum_bus import arguments as args
from sanctum_bus import schema
from sanctum_bus._version import SCHEMA_VERSION
from sanctum_bus.accounts import Counters, Entries
from sanctum_bus.aggregate import Aggregate
from sanctum_bus.connection import Sent, send_async
from sanctum_bus.coverage import Coverage
from sanctum_bus.errors import Refused, StartOver, UnknownSchema
from sanctum_bus.hashes import encode_fields
from sanctum_bus.keys import CONSUMER, GROUP, RunKeys
from sanctum_bus.owned import NOTHING, Held, More, Taken
from sanctum_bus.scripts import script
from sanctum_bus.settings import Settings
from sanctum_bus.snapshot import decode_fields
from sanctum_bus.state import Fields, State


class RunStore:
    """One run's side of the server.

    Args:
        client: makes no retries of its own.
        blocking: likewise; its replies may take `block_ms` longer.
    """

    def __init__(self, client: Redis, blocking: Redis, run: RunKeys, settings: Settings) -> None:
        self._client = client
        self._blocking = blocking
        self._run = run
        self._settings = settings
        self._written: dict[str, args.Written] = {}
        self._begun: Sent | None = None

    async def take_over(self, owner: str, *, innocent: bool) -> Taken | None:
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
        await self.stop_waiting()
        run = self._run
        arguments = (run.base, GROUP, owner, int(innocent), SCHEMA_VERSION, schema.oldest())
        reply = await self._script("takeover", run.written, arguments)
        word, *rest = [item.decode() if isinstance(item, bytes) else item for item in reply]
        if word == "gone":
            return None
        if word == "held":
            raise StartOver("held", "somebody is just putting another snapshot in its place")
        if word == "newer":
            raise StartOver("schema", schema.newer(run.run_id, rest[0]))
        if word == "wrongtype":
            raise StartOver(
                "wrongtype", f"{rest[0]} is a {rest[1]}: move it away, it stands where the stream belongs"
            )
        generation, version, attempts, fresh, trimmed, entries, source = rest
        return Taken(generation, version, int(attempts), fresh == "1", trimmed, int(entries), source == "1")

    async def load(self, taken: Taken) -> Aggregate:
        """Rebuild the aggregate from the snapshot, by one read.

        Sections of an older schema are brought up to date, and are among what the first commit writes.

        Raises:
            StartOver: the snapshot is not the one that was taken over.
        """
        run = self._run
        self._written.clear()
        names = (run.events, run.checkpoint, run.sections, run.coverage, run.recent, run.none)
        reply = await self._script("read", names, (run.base, "", "", "1", ""))
        checkpoint = decode_fields(reply[0])
        if (str(checkpoint.get("generation")), checkpoint.get("version")) != (
            taken.generation,
            taken.version,
        ):
            raise StartOver(
                "load", f"found generation {checkpoint.get('generation')} and not {taken.generation}"
            )
        flat = reply[7:]
        sections = {
            name.decode(): decode_fields(fields) for name, fields in zip(flat[::2], flat[1::2], strict=True)
        }
        if not all(sections.values()):
            raise StartOver("load", "a section went while the snapshot was read")
        aggregate = Aggregate(
            self._state(sections, checkpoint.get("schema"), taken.version),
            Counters.of(checkpoint),
            Coverage({name: int(times) for name, times in decode_fields(reply[2]).items()}),
            taken.version,
        )
        if taken.trimmed_until:
            aggregate.note_trimmed(taken.trimmed_until, taken.trimmed_entries)
        return aggregate

    def _state(self, sections: dict[str, Fields], written_in: Any, version: str) -> State:
        try:
            found = schema.check(self._run.run_id, written_in)
        except UnknownSchema as error:
            raise StartOver("schema", str(error)) from error
        state = State(schema.brought_up(sections, found), max_envs=self._settings.max_envs)
        if found != SCHEMA_VERSION:
            state.changed.update(dict.fromkeys(sections, version))
        return state

    async def read(self, count: int) -> Entries:
        """Return the next entries, at once; they are pending until a commit acknowledges them.

        Raises:
            StartOver: the group or the stream is gone.
        """
        sent = await send_async(self._client, self._reading(count))
        [found] = await sent.take(1)
        return _entries(found)

    def _reading(self, count: int) -> tuple[str | int, ...]:
        return ("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", self._run.events, ">")

    async def wait(self, version: str) -> bool:
        """Wait until the stream holds an entry after the version, at most `block_ms`; changes nothing."""
        return bool(await self._blocking.execute_command(*self._waiting(version)))

    async def wait_and_read(self, version: str, count: int) -> Entries:
        """Wait as `wait` does, and read as `read` does the moment it is over: one request, and nobody wakes between.

        Where the last commit has begun to wait, that is gone on with.

        Raises:
            StartOver: the group or the stream is gone.
            ResponseError: the server refuses either; a wait that is refused must not become a loop without one.
        """
        sent, self._begun = self._begun, None
        if sent is None:
            sent = await send_async(self._blocking, self._waiting(version), self._reading(count))
        waited, found = await sent.take(2)
        _checked(waited)
        return _entries(found)

    async def stop_waiting(self) -> None:
        """Give the wait up that a commit has begun, if there is one."""
        sent, self._begun = self._begun, None
        if sent is not None:
            await sent.drop()

    def _waiting(self, version: str) -> tuple[str | int, ...]:
        return ("XREAD", "COUNT", 1, "BLOCK", self._settings.block_ms, "STREAMS", self._run.events, version)

    def commit(
        self,
        aggregate: Aggregate,
        taken: Taken,
        old_version: str,
        held: Held,
        trim_before: str,
        more: More = NOTHING,
    ) -> Awaitable[Entries]:
        """Write what changed, the version and the acknowledgement in one atomic step; right behind it, read on.

        What is written is settled at once; the aggregate may be fed while the commit is awaited.

        Args:
            aggregate: what was folded.
            taken: the fence.
            old_version: that the fold started from.
            held: the entries that were folded, and those delivered behind them.
            trim_before: id before which the stream may be trimmed, or "".
            more: what to read then.

        Returns:
            The next entries, as `read` does; none where they are waited for.

        Raises:
            Refused: a guard refused it; nothing was written.
            StartOver: the group or the stream is gone.
        """
        changes = aggregate.take_changes()
        section_keys = [self._run.section(name) for name in changes.sections]
        run = self._run
        version = held.ids[-1] if held.ids else old_version
        arguments: list[Any] = [GROUP, taken.generation, old_version, version, *held.span]
        arguments += [len(held.ids), *held.ids]
        arguments += args.sections(changes, self._written)
        arguments += args.counted(encode_fields(args.checkpoint(aggregate.counters)))
        arguments += args.counted(encode_fields(changes.coverage))
        arguments += args.lines(changes.lines, self._settings.log_lines)
        arguments += args.lines(changes.batches, self._settings.batch_lines)
        arguments += args.counted(changes.put_back)
        arguments += args.parked(changes.parked, self._settings.dead_entries)
        arguments += [self._settings.dead_entries, self._settings.dead_bytes]
        hint = args.hint(changes.sections, taken.generation, version)
        arguments += [trim_before, run.changed, hint]
        return self._commit((*run.written, *section_keys), arguments, version, more)

    async def _commit(self, names: Sequence[str], arguments: list[Any], version: str, more: More) -> Entries:
        call = ("EVALSHA", script("commit").digest, len(names), *names, *arguments)
        behind = [self._waiting(version)] if more.waits else []
        behind += [self._reading(more.entries)] if more.entries else []
        sent = await send_async(self._blocking if more.waits else self._client, call, *behind)
        reply, *found = await sent.take(1 if more.waits else 1 + len(behind))
        if more.waits:
            self._begun = sent
        if isinstance(reply, NoScriptError):
            reply = await self._script("commit", names, arguments)
        if isinstance(reply, Exception):
            raise reply
        if reply[0] != b"ok":
            raise Refused(reply[1].decode(), reply[2].decode())
        return _entries(found[0]) if found else []

    async def give_up(self, taken: Taken, *, asleep: bool) -> bool:
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


def _checked(reply: Any) -> Any:
    if isinstance(reply, ResponseError) and str(reply).startswith(("NOGROUP", "UNBLOCKED", "WRONGTYPE")):
        raise StartOver("group", str(reply)) from reply
    if isinstance(reply, Exception):
        raise reply
    return reply


def _entries(reply: Any) -> Entries:
    return reply[0][1] if _checked(reply) else []
