"""The keys of one run on the server: acquire, load, read, commit and release.

Each atomic step is one Lua script; see `protocol/scripts`. The store loads and commits plain data. The run loop
makes an aggregate of it.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from sanctum_bus.errors import CommitRefused, RestartRun, UnknownSchema
from sanctum_bus.fold.changes import Changes
from sanctum_bus.fold.counters import Counters
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Entries, Fields
from sanctum_bus.protocol.key_types import answered
from sanctum_bus.protocol.keys import CONSUMER, GROUP, RunKeys
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.protocol.text import decode_fields
from sanctum_bus.worker.commit_arguments import WrittenSection, build, change_notification
from sanctum_bus.worker.settings import Settings


class Lease(NamedTuple):
    """The ownership of a run, from its acquisition until another worker acquires the run.

    Args:
        generation: the fencing token; commits with another one are refused.
        version: of the checkpoint to continue from.
        attempts: acquisitions since the last commit. From the third on, an entry may be the cause of crashes.
        new_history: there was no whole checkpoint, so the fold starts with the first entry.
        trimmed_until: ID up to which the stream was trimmed before its entries were read, or "".
        trimmed_entries: number of these entries.
        has_stream: the run has a stream. Workers never create one.
    """

    generation: str
    version: str
    attempts: int
    new_history: bool
    trimmed_until: str
    trimmed_entries: int
    has_stream: bool


class Loaded(NamedTuple):
    """The snapshot of a run, as the last commit left it.

    Args:
        sections: name -> fields, in the layout of the schema below.
        counters: of the checkpoint.
        coverage: name -> count.
        schema: version of the schema that the sections were written in; `protocol.schema` can upgrade it.
    """

    sections: dict[str, Fields]
    counters: Counters
    coverage: dict[str, int]
    schema: int


@dataclass(slots=True)
class InFlight:
    """The entries that were delivered and not yet committed, in order.

    Args:
        ids: of the folded entries, which a commit acknowledges.
        size: bytes of their values.
        ahead: IDs of the entries behind them, which are not folded yet.
        folding_s: seconds that their fold has taken.
    """

    ids: list[str]
    size: int = 0
    ahead: list[str] = field(default_factory=list)
    folding_s: float = 0.0

    @property
    def span(self) -> tuple[int, str, str]:
        """The number of entries, the smallest ID and the greatest."""
        ends = [*self.ids[:1], *self.ids[-1:], *self.ahead[:1], *self.ahead[-1:]]
        return (len(self.ids) + len(self.ahead), ends[0], ends[-1]) if ends else (0, "", "")


class Commit(NamedTuple):
    """The contents of one commit.

    Args:
        changes: from the fold.
        checkpoint: the counters as fields of the checkpoint.
        old_version: version that the fold started from.
        in_flight: the folded entries, and those delivered behind them.
        trim_before: ID before which the stream may be trimmed, or "".
    """

    changes: Changes
    checkpoint: Fields
    old_version: str
    in_flight: InFlight
    trim_before: str = ""

    @property
    def version(self) -> str:
        """The version after the commit."""
        return self.in_flight.ids[-1] if self.in_flight.ids else self.old_version


class RunStore:
    """The keys of one run.

    Args:
        client: a client that never retries.
        blocking: a client that never retries and waits `poll_timeout_ms` longer for replies.
        run: the keys.
        settings: limits and times.
    """

    def __init__(self, client: Redis, blocking: Redis, run: RunKeys, settings: Settings) -> None:
        self._client = client
        self._blocking = blocking
        self._run = run
        self._settings = settings
        self._written: dict[str, WrittenSection] = {}

    async def acquire(self, owner: str, *, blameless: bool) -> Lease | None:
        """Make a worker the owner of the run, and start the group after the checkpoint's version.

        Args:
            owner: ID of the worker.
            blameless: the last attempt failed for a reason outside the entries.

        Returns:
            None if the run does not exist.

        Raises:
            RestartRun: a key of the run has the wrong type, which an operator has to repair; or a rebuild has locked the
                run; or a newer version of Sanctum wrote the snapshot.
        """
        run = self._run
        reply = await calls.run_async(self._client, calls.acquire(run, owner, blameless=blameless))
        word, *rest = [item.decode() if isinstance(item, bytes) else item for item in reply]
        if word == "gone":
            return None
        if word == "locked":
            raise RestartRun("held", "a rebuild is replacing the snapshot")
        if word == "newer":
            raise RestartRun("schema", schema.newer(run.run_id, rest[0]))
        if word == "wrongtype":
            raise RestartRun("wrongtype", str(answered(run, reply[1:])[0]))
        generation, version, attempts, new_history, trimmed, entries, source = rest
        return Lease(
            generation, version, int(attempts), new_history == "1", trimmed, int(entries), source == "1"
        )

    async def load(self, lease: Lease) -> Loaded:
        """Read the snapshot, in one atomic step.

        Raises:
            RestartRun: the snapshot is not the one that was acquired, or its schema is unknown.
        """
        self._written.clear()
        call = calls.read_snapshot(self._run, want="sections", coverage=True)
        reply = await calls.run_async(self._client, call)
        checkpoint = decode_fields(reply[0])
        found = (str(checkpoint.get("generation")), checkpoint.get("version"))
        if found != (lease.generation, lease.version):
            raise RestartRun("load", f"found generation {found[0]}, expected {lease.generation}")
        flat = reply[7:]
        sections = {
            name.decode(): decode_fields(fields) for name, fields in zip(flat[::2], flat[1::2], strict=True)
        }
        if not all(sections.values()):
            raise RestartRun("load", "a section was removed while the snapshot was read")
        try:
            written_in = schema.check(self._run.run_id, checkpoint.get("schema"))
        except UnknownSchema as error:
            raise RestartRun("schema", str(error)) from error
        coverage = {name: int(times) for name, times in decode_fields(reply[2]).items()}
        return Loaded(sections, Counters.from_checkpoint(checkpoint), coverage, written_in)

    async def read(self, count: int) -> Entries:
        """Return the next entries without waiting. They stay pending until a commit acknowledges them.

        Args:
            count: maximum number of entries.

        Raises:
            RestartRun: the group or the stream does not exist.
        """
        try:
            return entries_or_raise(await self._client.execute_command(*self._reading(count)))
        except ResponseError as error:
            return entries_or_raise(error)

    def _reading(self, count: int) -> tuple[str | int, ...]:
        return ("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", self._run.events, ">")

    async def wait(self, version: str) -> bool:
        """Wait until the stream has an entry after a version, at most `poll_timeout_ms`. Changes nothing."""
        return bool(await self._blocking.execute_command(*self._waiting(version)))

    async def read_blocking(self, version: str, count: int) -> Entries:
        """Wait as `wait` does, then read as `read` does, in one request.

        Raises:
            RestartRun: the group or the stream does not exist.
            ResponseError: the server refuses the wait or the read. Without a wait, the caller would loop.
        """
        pipeline = self._blocking.pipeline(transaction=False)
        pipeline.execute_command(*self._waiting(version))
        pipeline.execute_command(*self._reading(count))
        _, found = map(entries_or_raise, await pipeline.execute(raise_on_error=False))
        return found

    def _waiting(self, version: str) -> tuple[str | int, ...]:
        wait_ms = self._settings.poll_timeout_ms
        return ("XREAD", "COUNT", 1, "BLOCK", wait_ms, "STREAMS", self._run.events, version)

    def commit(self, lease: Lease, commit: Commit, *, count: int = 0) -> Awaitable[Entries]:
        """Write changes, version and acknowledgment in one atomic step; in the same request, read the next entries.

        The changes are encoded before this returns, so the caller may fold on while it awaits the commit.

        Args:
            lease: of the caller; its generation fences the commit.
            commit: what to write.
            count: maximum number of entries to read; 0: none.

        Returns:
            The next entries, as `read` does.

        Raises:
            CommitRefused: a guard refused the commit; nothing was written.
            RestartRun: the group or the stream does not exist.
        """
        run, settings, sections = self._run, self._settings, commit.changes.sections
        in_flight, version = commit.in_flight, commit.version
        arguments: list[Any] = [GROUP, lease.generation, commit.old_version, version, *in_flight.span]
        arguments += (settings.dead_letter_max_bytes, commit.trim_before)
        arguments += (run.changed, change_notification(sections, lease.generation, version))
        arguments += build(commit.changes, commit.checkpoint, settings, self._written)
        arguments += in_flight.ids
        return self._commit(calls.commit(run, sections, arguments), count)

    async def _commit(self, call: calls.ScriptCall, count: int) -> Entries:
        if count:
            reply, found = await calls.run_pipelined(self._client, call, self._reading(count))
        else:
            reply, found = await calls.run_async(self._client, call), None
        if isinstance(reply, Exception):
            raise reply
        if reply[0] != b"ok":
            raise CommitRefused(reply[1].decode(), reply[2].decode())
        return entries_or_raise(found)

    async def release(self, lease: Lease) -> None:
        """Clear the owner of the run, so that other workers see that no worker owns it."""
        await calls.run_async(self._client, calls.release(self._run, lease.generation, idle=False))

    async def make_idle(self, lease: Lease) -> bool:
        """Release the run if nothing is unread; return whether it was released."""
        call = calls.release(self._run, lease.generation, idle=True)
        return bool(await calls.run_async(self._client, call))


def entries_or_raise(reply: Any) -> Entries:
    """Return the entries of a reply that may be an error.

    Raises:
        RestartRun: the group or the stream does not exist, or the key is not a stream.
        ResponseError: any other error of the server.
    """
    if isinstance(reply, ResponseError) and str(reply).startswith(("NOGROUP", "UNBLOCKED", "WRONGTYPE")):
        raise RestartRun("group", str(reply)) from reply
    if isinstance(reply, Exception):
        raise reply
    return reply or []
