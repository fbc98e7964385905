"""The reader for threads: carries the programs of `core` out over redis-py."""

import time
from collections.abc import Generator
from contextlib import closing
from types import TracebackType
from typing import Any, Self, cast

import redis
from redis.client import NEVER_DECODE, PubSub
from redis.exceptions import RedisError

from sanctum_bus.connection import connect, forget, owner, primaries
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


class Reader:
    """Reads runs. Threads may share one.

    Errors of redis-py come through as they are: `RedisError` means that the server could not be asked. Every method
    that takes a run raises `BadInput` for a name that cannot be one, and `UnknownRun` for a run that is not there.
    Every method raises `NotNow` where a key that it reads has the wrong type: it names the key, and says what to do.

    Args:
        url: of the server; else $SANCTUM_REDIS_URL, else `redis://localhost:6379/0`.
        client: instead of a URL; it stays the caller's, and is not closed.
        key_prefix: what every key begins with; else $SANCTUM_KEY_PREFIX, else `nissa`.

    Raises:
        ConfigurationError: the URL is wrong.
        BadInput: the prefix is, or both URL and client are given.
    """

    def __init__(
        self, url: str | None = None, *, client: redis.Redis | None = None, key_prefix: str | None = None
    ) -> None:
        one_of(url, client)
        self._prefix = prefix_of(key_prefix)
        self._own = client is None
        self._client = connect(url_of(url)) if client is None else client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless the client was given."""
        if self._own:
            self._client.close()

    def runs(self, *, scan: bool = True) -> list[RunInfo]:
        """Return the runs that there are, the one that was active last first.

        Args:
            scan: also look at every key of the server for streams that nobody registered.
        """
        return self._do(queries.runs(self._prefix, scan=scan))

    def snapshot(self, run: str, *, since: Since | None = None) -> Snapshot:
        """Return one consistent view of a run, in one round trip.

        Args:
            run: the run.
            since: a view, or a version and its generation: the answer names all sections, and carries those that
                changed after it, or all where the version is of another history. `answer.over(view)` is whole.

        Raises:
            ServerTooOld: the server lacks read-only scripts.
            UnknownSchema: a newer version of Sanctum wrote the snapshot.
        """
        return self._do(queries.snapshot(self._keys(run), since))

    def head(self, run: str) -> Snapshot:
        """Return a run's counters: its view without sections, in which no section has a name either.

        It costs the same however much there is of the run.

        Raises: as `snapshot` does.
        """
        return self._do(queries.head(self._keys(run)))

    def follow(
        self, run: str, *, poll_s: float = 1.0, idle_s: float | None = None
    ) -> Generator[Snapshot, None, None]:
        """Yield the whole view of a run at once, and again whenever it is another one.

        Views that come faster than they are taken are left out, never the last one. A run that goes away is a view
        without sections. After the first view, trouble with the server is waited for, and so is a key of the wrong type.

        Args:
            run: the run.
            poll_s: seconds after which a change shows for which no hint came.
            idle_s: end after so many seconds without another view; None: never.
        """
        return self._watch(follow.views(self._keys(run), PollPolicy(poll_s, idle_s)))

    def log(
        self, run: str, *, after: str = ZERO, count: int = 1000, newest: int | None = None
    ) -> list[LogLine]:
        """Return lines of the seed event log, the oldest first.

        Args:
            run: the run.
            after: only lines with a greater id.
            count: how many at most, from the oldest on.
            newest: instead of `count`: how many at most, the newest ones.
        """
        return self._do(queries.log(self._keys(run), Page(after, count, newest)))

    def follow_log(
        self, run: str, *, after: str = ZERO, poll_s: float = 1.0, idle_s: float | None = None
    ) -> Generator[LogLine, None, None]:
        """Yield the lines of the seed event log after an id, and then each as it comes.

        A log that was begun anew is read from its beginning: its ids may be below those that came before.

        Args:
            run: the run.
            after: an id, or `$` for lines that are not there yet.
            poll_s: as in `follow`.
            idle_s: as in `follow`.
        """
        return self._watch(follow.lines(self._keys(run), after, PollPolicy(poll_s, idle_s)))

    def batches(self, run: str, *, after: str = ZERO, count: int = 5000) -> list[BatchLine]:
        """Return lines of the curves, one for each batch, the oldest first; `after` and `count` as in `log`."""
        return self._do(queries.batches(self._keys(run), Page(after, count)))

    def coverage(self, run: str) -> list[TypeCoverage]:
        """Return which event types and fields were seen, and how often, in the order of names."""
        return self._do(queries.seen(self._keys(run)))

    def dead(self, run: str, *, after: str = ZERO, count: int = 1000) -> list[DeadLetter]:
        """Return entries that could not be folded, the oldest first; `after` and `count` as in `log`."""
        return self._do(queries.dead(self._keys(run), Page(after, count)))

    def _keys(self, run: str) -> RunKeys:
        return RunKeys(run, self._prefix)

    def _do(self, program: Program[T], ears: "_Ears | None" = None) -> T:
        try:
            effect = next(program)
            while True:
                try:
                    reply = self._carry_out(effect, ears)
                except (RedisError, OSError) as error:
                    effect = program.throw(error)
                else:
                    effect = program.send(reply)
        except StopIteration as end:
            return cast("T", end.value)

    def _carry_out(self, effect: Effect, ears: "_Ears | None") -> Any:
        if isinstance(effect, Call):
            return self._client.execute_command(*effect.args, **{NEVER_DECODE: True})
        if isinstance(effect, Forget):
            return forget(self._client)
        if isinstance(effect, Scan):
            return self._scan(effect)
        if ears is not None and effect.channel:
            return ears.wait(effect)
        return time.sleep(effect.seconds)

    def _scan(self, effect: Scan) -> list[bytes]:
        found: list[bytes] = []
        for server in primaries(self._client):
            cursor = 0
            while True:
                step = ("SCAN", cursor, *effect.options)
                cursor, names = server.execute_command(*step, **{NEVER_DECODE: True})
                found += names
                if not int(cursor):
                    break
        return found

    def _watch(self, watch: Poller[T]) -> Generator[T, None, None]:
        with closing(_Ears(self._client)) as ears:
            while found := self._do(watch.next(), ears):
                yield from found


class _Ears:
    """One follower's subscription, made when it first waits, and anew where another server owns the channel."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._server = client
        self._pubsub: PubSub | None = None

    def wait(self, effect: Wait) -> Heard:
        """Return the last of what came; all that did is taken, for one look serves for it."""
        try:
            pubsub = self._subscribed(effect)
            last = pubsub.get_message(timeout=effect.seconds)
            for _ in range(MOST_HINTS):
                message = pubsub.get_message()
                if message is None:
                    break
                last = message
        except (RedisError, OSError):
            self.close()
            raise
        return None if last is None else last["data"]

    def close(self) -> None:
        """End the subscription."""
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            pubsub.close()

    def _subscribed(self, effect: Wait) -> PubSub:
        server = owner(self._client, effect.channel)
        if effect.anew or server is not self._server:
            self.close()
        if self._pubsub is None:
            self._server, self._pubsub = server, server.pubsub()
            self._pubsub.ssubscribe(effect.channel)
        return self._pubsub
