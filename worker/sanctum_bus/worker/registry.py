"""The registry: the keys that all runs share, which are the index of runs, the live workers, and the catalog.

This is the only module of the worker that reads or writes these keys.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from sanctum_bus.connection import PROBE, primaries_async, refuse_old
from sanctum_bus.events.catalog import Declared
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.key_types import is_wrong_type, shared
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.protocol.text import decode_value, dump_json

#: Maximum number of runs in one round trip.
_SLICE = 500


class LiveWorkers(NamedTuple):
    """The workers that are alive at one moment.

    Args:
        now_ms: server time of that moment, ms since the Unix epoch.
        workers: IDs of the live workers.
    """

    now_ms: int
    workers: frozenset[str]


class Lag(NamedTuple):
    """The lag of a run, and the counts that its producers report. None: unknown, which is not 0.

    Args:
        behind: number of entries that are not committed yet.
        behind_s: seconds since the first of these entries arrived, by the server's clock.
        sent: number of events that the producers have sent.
        dropped: number of events that the producers have dropped.
    """

    behind: int | None = None
    behind_s: float | None = None
    sent: int | None = None
    dropped: int | None = None


class RestPoint(NamedTuple):
    """The checkpoint of a run without an owner; both fields are "" if the run has no checkpoint."""

    generation: str
    version: str


class Registry:
    """The keys that all runs share.

    Args:
        client: the client; it must not retry.
        prefix: of all keys.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def check_server(self) -> str:
        """Check that the server has the required features, and return its name and version.

        Raises:
            ServerTooOld: the server lacks a required feature.
        """
        info = await self._client.info("server")
        try:
            await self._client.execute_command(*PROBE)
        except ResponseError as error:
            if not str(error).lower().startswith("unknown command"):
                raise
            raise refuse_old(error, info) from None
        return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"

    async def eviction_policy(self) -> str | None:
        """Return the server's maxmemory policy if it can evict whole streams and snapshots, else None."""
        policy = str((await self._client.info("memory")).get("maxmemory_policy", "noeviction"))
        return None if policy == "noeviction" else policy

    async def heartbeat(self, worker: str, lease_ms: int) -> LiveWorkers:
        """Renew the lease of a worker, and return the live workers.

        Args:
            worker: ID of the worker.
            lease_ms: how long the worker counts as alive from now; 0 removes the worker.
        """
        key = keys.workers(self._prefix)
        call = calls.heartbeat(key, worker, lease_ms)
        now_ms, *workers = await self._with_key_named(key, calls.run_async(self._client, call))
        return LiveWorkers(int(now_ms), frozenset(_names(workers)))

    async def publish_status(self, worker: str, status: str, live: Iterable[str]) -> None:
        """Store the status of a worker, and remove the status of every worker that is not alive.

        Args:
            worker: ID of the worker.
            status: JSON; "" removes the status.
            live: IDs of the live workers.
        """
        key = keys.workers_state(self._prefix)
        call = calls.set_worker_state(key, worker, status, live)
        await self._with_key_named(key, calls.run_async(self._client, call))

    async def lag(self, run_id: str, version: str) -> Lag:
        """Return the lag of a run, and the counts that its producers report.

        Args:
            run_id: the run.
            version: stream ID of the last entry that the owner has committed.
        """
        run = RunKeys(run_id, self._prefix)
        behind, ms, *flat = await calls.run_async(self._client, calls.lag(run, version))
        reports = [
            one for raw in flat[1::2] if isinstance(one := decode_value(raw.decode("utf-8", "replace")), dict)
        ]
        sent, dropped = (sum(_count_or_0(one.get(name)) for one in reports) for name in ("sent", "dropped"))
        return Lag(None if behind < 0 else behind, ms / 1000, sent, dropped)

    async def active(self, since_ms: int) -> set[str]:
        """Return the runs of the index with an event since a time, in ms since the Unix epoch."""
        return await self._indexed("ZRANGEBYSCORE", since_ms, "+inf")

    async def registered(self) -> set[str]:
        """Return every run of the index."""
        return await self._indexed("ZRANGE", 0, -1)

    async def _indexed(self, command: str, *span: int | str) -> set[str]:
        key = keys.runs(self._prefix)
        return set(_names(await self._with_key_named(key, self._client.execute_command(command, key, *span))))

    async def _with_key_named(self, key: str, reply: Awaitable[Any]) -> Any:
        """Return the reply of a command on one key. If the key has the wrong type, the error names the key and its type."""
        try:
            return await reply
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            wrong = shared(self._prefix, {key: await self._client.type(key)})
            raise ResponseError("WRONGTYPE " + "; ".join(map(str, wrong))) from error

    async def scan(self) -> set[str]:
        """Return every run that has a stream, also a run that is missing from the index."""
        return {run_id async for run_id in self._streams()}

    async def _streams(self) -> AsyncIterator[str]:
        pattern = keys.events_pattern(self._prefix)
        for server in await primaries_async(self._client):
            async for key in server.scan_iter(match=pattern, count=1000, _type="stream"):
                run_id = keys.run_of_events_key(key.decode("utf-8", "replace"), self._prefix)
                if run_id:
                    yield run_id

    async def with_unread(self, runs: Iterable[str]) -> set[str]:
        """Return the runs whose stream has entries that are not in the snapshot."""
        found = {}
        async for run_id, (last, version) in self._query(
            runs,
            lambda run: (
                ("XREVRANGE", run.events, "+", "-", "COUNT", 1),
                ("HGET", run.checkpoint, "version"),
            ),
        ):
            # If a key has the wrong type, the reply is an error. The owner of the run reports it.
            if isinstance(last, Exception) or version == b"torn" or (last and last[0][0] != version):
                found[run_id] = version
        # The last entry may have been deleted after it was folded: only then is the last generated ID needed.
        async for run_id, (info,) in self._query(found, lambda run: (("XINFO STREAM", run.events),)):
            if not isinstance(info, Exception) and info["last-generated-id"] == found[run_id]:
                del found[run_id]
        return set(found)

    async def resting(self, runs: Iterable[str], live: Collection[str]) -> dict[str, RestPoint]:
        """Return the runs that no live worker owns, each with its checkpoint."""
        found = {}
        async for run_id, (reply,) in self._query(
            runs, lambda run: (("HMGET", run.checkpoint, "owner", "generation", "version"),)
        ):
            # A checkpoint of the wrong type must be repaired first: the run stays.
            if not isinstance(reply, Exception):
                owner, generation, version = _names(value or b"" for value in reply)
                if owner not in live:
                    found[run_id] = RestPoint(generation, version)
        return found

    async def _query(
        self, runs: Iterable[str], commands: Callable[[RunKeys], Sequence[Sequence[str | int]]]
    ) -> AsyncIterator[tuple[str, list[Any]]]:
        """Send the same commands for many runs; yield each run with its replies, some of which may be errors."""
        valid = sorted(run_id for run_id in runs if keys.is_run_id(run_id))
        for start in range(0, len(valid), _SLICE):
            some = valid[start : start + _SLICE]
            pipeline = self._client.pipeline(transaction=False)
            for run_id in some:
                for command in commands(RunKeys(run_id, self._prefix)):
                    pipeline.execute_command(*command)
            replies = await pipeline.execute(raise_on_error=False)
            each = len(replies) // len(some)
            for number, run_id in enumerate(some):
                yield run_id, replies[number * each : (number + 1) * each]

    async def mark_active(self, run_id: str) -> None:
        """Set the last activity of a run in the index to now."""
        await calls.run_async(self._client, calls.mark_active(keys.runs(self._prefix), run_id))

    async def expire(self, run_id: str, rest: RestPoint) -> bool:
        """Remove all keys of a run in one step, if its checkpoint is unchanged and it has no unread entries.

        Args:
            run_id: the run.
            rest: the checkpoint that the run must still have.

        Returns:
            Whether the run was removed.
        """
        run = RunKeys(run_id, self._prefix)
        removed = await calls.run_async(self._client, calls.remove_run(run, *rest))
        if removed >= 0:
            await self._client.zrem(keys.runs(self._prefix), run_id)
        return int(removed) >= 0

    async def publish_catalog(self, declared: Mapping[tuple[str, str], Declared]) -> None:
        """Write the units and meanings of the declared fields to the server, where any tool can read them."""
        flat: list[str] = []
        for (event_type, name), one in declared.items():
            flat.append(f"{event_type}.{name}")
            flat.append(dump_json({"unit": one.unit, "meaning": one.meaning, "kept": one.kept}))
        await self._client.execute_command("HSET", keys.catalog(self._prefix), *flat)


def _count_or_0(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _names(raw: Iterable[bytes]) -> list[str]:
    return [name.decode("utf-8", "replace") for name in raw]
