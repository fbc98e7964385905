"""The reader for asyncio: carries the programs of `core` out over redis-py."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, cast

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.client import NEVER_DECODE
from redis.exceptions import RedisError

from sanctum_bus.connection import connect_async, forget_async, owner_async, primaries_async
from sanctum_bus.protocol.coverage import TypeCoverage
from sanctum_bus.protocol.keys import RunKeys, prefix_of
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.reader import follow, queries
from sanctum_bus.reader.effects import (
    MOST_HINTS,
    Call,
    Effect,
    Forget,
    Heard,
    Program,
    Scan,
    T,
    Wait,
    one_of,
    url_of,
)
from sanctum_bus.reader.models import BatchLine, DeadLetter, LogLine, RunInfo, Snapshot
from sanctum_bus.reader.polling import Poller, PollPolicy
from sanctum_bus.reader.queries import Page, Since


class AsyncReader:
    """Reads runs; the same as `Reader`, whose methods say what arguments mean and what is raised.

    What follows a run keeps a connection until it is closed: `contextlib.aclosing` sees to it where a loop may break.

    Args:
        url: of the server; else $SANCTUM_REDIS_URL, else `redis://localhost:6379/0`.
        client: instead of a URL; it stays the caller's, and is not closed. On Python 3.11 one that redis-py made itself
            may miss that a task was cancelled while it sends; one that is made of a URL here never does.
        key_prefix: what every key begins with; else $SANCTUM_KEY_PREFIX, else `nissa`.

    Raises:
        ConfigurationError: the URL is wrong.
        BadInput: the prefix is, or both URL and client are given.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: redis.asyncio.Redis | None = None,
        key_prefix: str | None = None,
    ) -> None:
        one_of(url, client)
        self._prefix = prefix_of(key_prefix)
        self._own = client is None
        self._client = connect_async(url_of(url)) if client is None else client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless the client was given."""
        if self._own:
            await self._client.aclose()

    async def runs(self, *, scan: bool = True) -> list[RunInfo]:
        """Return the runs that there are, the one that was active last first."""
        return await self._do(queries.runs(self._prefix, scan=scan))

    async def snapshot(self, run: str, *, since: Since | None = None) -> Snapshot:
        """Return one consistent view of a run, in one round trip."""
        return await self._do(queries.snapshot(self._keys(run), since))

    async def head(self, run: str) -> Snapshot:
        """Return a run's counters: its view without sections."""
        return await self._do(queries.head(self._keys(run)))

    def follow(
        self, run: str, *, poll_s: float = 1.0, idle_s: float | None = None
    ) -> AsyncGenerator[Snapshot, None]:
        """Yield the whole view of a run at once, and again whenever it is another one."""
        return self._watch(follow.views(self._keys(run), PollPolicy(poll_s, idle_s)))

    async def log(
        self, run: str, *, after: str = ZERO, count: int = 1000, newest: int | None = None
    ) -> list[LogLine]:
        """Return lines of the seed event log, the oldest first."""
        return await self._do(queries.log(self._keys(run), Page(after, count, newest)))

    def follow_log(
        self, run: str, *, after: str = ZERO, poll_s: float = 1.0, idle_s: float | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Yield the lines of the seed event log after an id, and then each as it comes."""
        return self._watch(follow.lines(self._keys(run), after, PollPolicy(poll_s, idle_s)))

    async def batches(self, run: str, *, after: str = ZERO, count: int = 5000) -> list[BatchLine]:
        """Return lines of the curves, one for each batch, the oldest first."""
        return await self._do(queries.batches(self._keys(run), Page(after, count)))

    async def coverage(self, run: str) -> list[TypeCoverage]:
        """Return which event types and fields were seen, and how often, in the order of names."""
        return await self._do(queries.seen(self._keys(run)))

    async def dead(self, run: str, *, after: str = ZERO, count: int = 1000) -> list[DeadLetter]:
        """Return entries that could not be folded, the oldest first."""
        return await self._do(queries.dead(self._keys(run), Page(after, count)))

    def _keys(self, run: str) -> RunKeys:
        return RunKeys(run, self._prefix)

    async def _do(self, program: Program[T], ears: "_Ears | None" = None) -> T:
        try:
            effect = next(program)
            while True:
                try:
                    reply = await self._carry_out(effect, ears)
                except (RedisError, OSError) as error:
                    effect = program.throw(error)
                else:
                    effect = program.send(reply)
        except StopIteration as end:
            return cast("T", end.value)

    async def _carry_out(self, effect: Effect, ears: "_Ears | None") -> Any:
        if isinstance(effect, Call):
            return await self._client.execute_command(*effect.args, **{NEVER_DECODE: True})
        if isinstance(effect, Forget):
            return await forget_async(self._client)
        if isinstance(effect, Scan):
            return await self._scan(effect)
        if ears is not None and effect.channel:
            return await ears.wait(effect)
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

    async def _watch(self, watch: Poller[T]) -> AsyncGenerator[T, None]:
        async with aclosing(_Ears(self._client)) as ears:
            while found := await self._do(watch.next(), ears):
                for one in found:
                    yield one


class _Ears:
    """One follower's subscription, made when it first waits, and anew where another server owns the channel."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._server = client
        self._pubsub: PubSub | None = None

    async def wait(self, effect: Wait) -> Heard:
        """Return the last of what came; all that did is taken, for one look serves for it."""
        try:
            pubsub = await self._subscribed(effect)
            last = await pubsub.get_message(timeout=effect.seconds)
            for _ in range(MOST_HINTS):
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
        if effect.anew or server is not self._server:
            await self.aclose()
        if self._pubsub is None:
            self._server, self._pubsub = server, server.pubsub()
            await self._pubsub.ssubscribe(effect.channel)
        return self._pubsub
