"""The reader for asyncio. It performs the effects of the programs in queries.py and follow.py.

reader/sync.py is generated from this file: run `scripts/generate-sync` after a change.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, cast

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.client import NEVER_DECODE
from redis.exceptions import RedisError

from sanctum_bus.connection import connect_async, owner_async, primaries_async, reset_async, resolve_url
from sanctum_bus.protocol.coverage import TypeCoverage
from sanctum_bus.protocol.keys import RunKeys, resolve_prefix
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.reader import follow, queries
from sanctum_bus.reader.effects import (
    MAX_NOTIFICATIONS,
    Call,
    Effect,
    Message,
    Program,
    Reset,
    Scan,
    T,
    Wait,
    check_one_of,
)
from sanctum_bus.reader.models import BatchLine, DeadLetter, LogLine, RunInfo, Snapshot
from sanctum_bus.reader.polling import Poller, PollPolicy
from sanctum_bus.reader.queries import Page, Since


class AsyncReader:
    """Reads runs. Tasks may share one reader.

    Errors of redis-py are passed on unchanged: `RedisError` means that the server could not execute the request. Methods
    that take a run also raise `InvalidArgument` for an invalid run ID, and `UnknownRun` for a run that does not exist. All
    methods raise `Unavailable` if a key has the wrong type; the message names the key and what to do.

    `follow` and `follow_log` hold a connection until they are closed: use `contextlib.aclosing` if the loop can break.

    Args:
        url: URL of the server; default: $SANCTUM_REDIS_URL, else `redis://localhost:6379/0`.
        client: a redis-py client instead of a URL. The reader does not close it. On Python 3.11, a client that redis-py
            created may miss the cancellation of a task while it sends. A client that the reader creates does not.
        key_prefix: prefix of every key; default: $SANCTUM_KEY_PREFIX, else `nissa`.

    Raises:
        ConfigurationError: the URL is invalid.
        InvalidArgument: the prefix is invalid, or both URL and client are given.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: redis.asyncio.Redis | None = None,
        key_prefix: str | None = None,
    ) -> None:
        check_one_of(url, client)
        self._prefix = resolve_prefix(key_prefix)
        self._owns_client = client is None
        self._client = connect_async(resolve_url(url)) if client is None else client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless the caller gave the client."""
        if self._owns_client:
            await self._client.aclose()

    async def runs(self, *, scan: bool = True) -> list[RunInfo]:
        """List the runs on the server, most recently active first.

        Args:
            scan: also examine every key of the server, to find streams that are not in the index of runs.
        """
        return await self._run(queries.runs(self._prefix, scan=scan))

    async def snapshot(self, run: str, *, since: Since | None = None) -> Snapshot:
        """Return a consistent snapshot of a run, in one round trip.

        Args:
            run: ID of the run.
            since: a snapshot, or its version and generation. The reply then names all sections and carries those that
                changed later, or all sections if the version belongs to another history. `reply.merged_onto(since)` is
                the complete snapshot.

        Raises:
            ServerTooOld: the server lacks read-only scripts.
            UnknownSchema: a newer version of Sanctum wrote the snapshot.
        """
        return await self._run(queries.snapshot(self._keys(run), since))

    async def counters(self, run: str) -> Snapshot:
        """Return a snapshot without sections and without their names: version, owner and counters.

        The cost does not depend on the size of the run, so this is the call to poll many runs.

        Args:
            run: ID of the run.

        Raises:
            ServerTooOld: the server lacks read-only scripts.
            UnknownSchema: a newer version of Sanctum wrote the snapshot.
        """
        return await self._run(queries.counters(self._keys(run)))

    def follow(
        self, run: str, *, poll_s: float = 1.0, idle_s: float | None = None
    ) -> AsyncGenerator[Snapshot, None]:
        """Yield the complete snapshot of a run at once, and again after every change.

        A slow caller skips snapshots, but never the last one. If the run is removed, its snapshot has no sections. After
        the first snapshot, failures that can pass are logged and retried, and so is a key of the wrong type.

        Args:
            run: ID of the run.
            poll_s: maximum seconds until a change is found without its change notification.
            idle_s: seconds without a change after which the iteration ends; None: never.

        Raises:
            ServerTooOld: the server lacks read-only scripts.
            UnknownSchema: a newer version of Sanctum wrote the snapshot.
        """
        return self._follow(follow.snapshots(self._keys(run), PollPolicy(poll_s, idle_s)))

    async def log(
        self, run: str, *, after: str = ZERO, count: int = 1000, newest: int | None = None
    ) -> list[LogLine]:
        """Return lines of the seed event log, oldest first.

        Args:
            run: ID of the run.
            after: return only lines with greater IDs.
            count: maximum number of lines, from the oldest.
            newest: maximum number of lines, from the newest; replaces `count`.
        """
        return await self._run(queries.log(self._keys(run), Page(after, count, newest)))

    def follow_log(
        self, run: str, *, after: str = ZERO, poll_s: float = 1.0, idle_s: float | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield the lines of the seed event log after an ID, and then each new line.

        A log that restarted is read from its beginning, so IDs may be smaller than those before.

        Args:
            run: ID of the run.
            after: yield only lines with greater IDs; `$`: only lines that are added from now on.
            poll_s: maximum seconds until a line is found without its change notification.
            idle_s: seconds without a line after which the iteration ends; None: never.
        """
        return self._follow(follow.lines(self._keys(run), after, PollPolicy(poll_s, idle_s)))

    async def batches(self, run: str, *, after: str = ZERO, count: int = 5000) -> list[BatchLine]:
        """Return lines of the batches stream (the curves), oldest first.

        Args:
            run: ID of the run.
            after: return only lines with greater IDs.
            count: maximum number of lines, from the oldest.
        """
        return await self._run(queries.batches(self._keys(run), Page(after, count)))

    async def coverage(self, run: str) -> list[TypeCoverage]:
        """Return how often each event type and each field was seen, in the order of names.

        Args:
            run: ID of the run.
        """
        return await self._run(queries.coverage(self._keys(run)))

    async def dead_letters(self, run: str, *, after: str = ZERO, count: int = 1000) -> list[DeadLetter]:
        """Return the entries that could not be folded, oldest first.

        Args:
            run: ID of the run.
            after: return only dead letters with greater IDs.
            count: maximum number of dead letters, from the oldest.
        """
        return await self._run(queries.dead_letters(self._keys(run), Page(after, count)))

    def _keys(self, run: str) -> RunKeys:
        return RunKeys(run, self._prefix)

    async def _run(self, program: Program[T], subscription: "_Subscription | None" = None) -> T:
        try:
            effect = next(program)
            while True:
                try:
                    reply = await self._perform(effect, subscription)
                except (RedisError, OSError) as error:
                    effect = program.throw(error)
                else:
                    effect = program.send(reply)
        except StopIteration as end:
            return cast("T", end.value)

    async def _perform(self, effect: Effect, subscription: "_Subscription | None") -> Any:
        if isinstance(effect, Call):
            return await self._client.execute_command(*effect.args, **{NEVER_DECODE: True})
        if isinstance(effect, Reset):
            return await reset_async(self._client)
        if isinstance(effect, Scan):
            return await self._scan(effect)
        if subscription is not None and effect.channel:
            return await subscription.wait(effect)
        return await asyncio.sleep(effect.seconds)

    async def _scan(self, effect: Scan) -> list[bytes]:
        found: list[bytes] = []
        for server in await primaries_async(self._client):
            cursor = 0
            while True:
                step = ("SCAN", cursor, *effect.options)
                cursor, names = await server.execute_command(*step, **{NEVER_DECODE: True})
                found += names
                if not int(cursor):
                    break
        return found

    async def _follow(self, poller: Poller[T]) -> AsyncGenerator[T, None]:
        async with aclosing(_Subscription(self._client)) as subscription:
            while found := await self._run(poller.next(), subscription):
                for one in found:
                    yield one


class _Subscription:
    """A follower's subscription. It is made for the first wait, and again if another server owns the channel."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._server = client
        self._pubsub: PubSub | None = None

    async def wait(self, effect: Wait) -> Message:
        """Return the last message, and discard those before it: one read serves all of them."""
        try:
            pubsub = await self._subscribed(effect)
            last = await pubsub.get_message(timeout=effect.seconds)
            for _ in range(MAX_NOTIFICATIONS):
                message = await pubsub.get_message()
                if message is None:
                    break
                last = message
        except (RedisError, OSError):
            await self.aclose()
            raise
        return None if last is None else last["data"]

    async def aclose(self) -> None:
        """End the subscription."""
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await pubsub.aclose()

    async def _subscribed(self, effect: Wait) -> PubSub:
        server = await owner_async(self._client, effect.channel)
        if effect.resubscribe or server is not self._server:
            await self.aclose()
        if self._pubsub is None:
            self._server, self._pubsub = server, server.pubsub()
            await self._pubsub.ssubscribe(effect.channel)
        return self._pubsub
