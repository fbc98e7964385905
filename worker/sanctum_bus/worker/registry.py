"""What there is on a server besides one run: the runs, the workers that are alive, the declared fields."""

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

#: Runs that are asked about in one round trip.
_SLICE = 500


class Membership(NamedTuple):
    """Which workers are alive.

    Args:
        now_ms: the server's time, ms of Unix time.
    """

    now_ms: int
    workers: frozenset[str]


class Lag(NamedTuple):
    """How a run stands with its owner; what nobody knows is None, which is not 0.

    Args:
        behind: entries that are not committed yet.
        behind_s: seconds since the first of them came, by the server's clock.
        sent: events that its producers say they sent.
        dropped: events that its producers say they had to drop.
    """

    behind: int | None = None
    behind_s: float | None = None
    sent: int | None = None
    dropped: int | None = None


class RestPoint(NamedTuple):
    """Where a run that nobody folds came to rest; "" where it has no checkpoint."""

    generation: str
    version: str


class Registry:
    """The keys that no run owns.

    Args:
        client: makes no retries of its own.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def check_server(self) -> str:
        """Ask the server whether it will do, and return its name and version.

        Raises:
            ServerTooOld: it lacks what Sanctum needs.
        """
        info = await self._client.info("server")
        try:
            await self._client.execute_command(*PROBE)
        except ResponseError as error:
            if not str(error).lower().startswith("unknown command"):
                raise
            raise refuse_old(error, info) from None
        return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"

    async def evicting(self) -> str | None:
        """Return the server's policy if it may evict keys: whole streams and snapshots would go."""
        policy = str((await self._client.info("memory")).get("maxmemory_policy", "noeviction"))
        return None if policy == "noeviction" else policy

    async def beat(self, worker: str, alive_ms: int) -> Membership:
        """Say that a worker is alive for so long from now, or with 0 that it leaves; return who is alive."""
        key = keys.workers(self._prefix)
        call = calls.heartbeat(key, worker, alive_ms)
        now_ms, *workers = await self._naming(key, calls.run_async(self._client, call))
        return Membership(int(now_ms), frozenset(_names(workers)))

    async def tell(self, worker: str, record: str, alive: Iterable[str]) -> None:
        """Keep what a worker says of itself, "" where it leaves; what others said who are not alive is forgotten."""
        key = keys.workers_state(self._prefix)
        call = calls.set_worker_state(key, worker, record, alive)
        await self._naming(key, calls.run_async(self._client, call))

    async def standing(self, run_id: str, version: str) -> Lag:
        """Return how far the owner of a run is behind, and what the run's producers say of themselves.

        Args:
            run_id: the run.
            version: what its owner has committed.
        """
        run = RunKeys(run_id, self._prefix)
        behind, ms, *flat = await calls.run_async(self._client, calls.lag(run, version))
        said = [
            one for raw in flat[1::2] if isinstance(one := decode_value(raw.decode("utf-8", "replace")), dict)
        ]
        sent, dropped = (sum(_whole(one.get(name)) for one in said) for name in ("sent", "dropped"))
        return Lag(None if behind < 0 else behind, ms / 1000, sent, dropped)

    async def active(self, since_ms: int) -> set[str]:
        """Return the runs of the index that had an event since then."""
        return await self._indexed("ZRANGEBYSCORE", since_ms, "+inf")

    async def known(self) -> set[str]:
        """Return every run of the index."""
        return await self._indexed("ZRANGE", 0, -1)

    async def _indexed(self, command: str, *span: int | str) -> set[str]:
        key = keys.runs(self._prefix)
        return set(_names(await self._naming(key, self._client.execute_command(command, key, *span))))

    async def _naming(self, key: str, asked: Awaitable[Any]) -> Any:
        """Return what was asked; the error of a server that refuses it for the type of the key names it."""
        try:
            return await asked
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            wrong = shared(self._prefix, {key: await self._client.type(key)})
            raise ResponseError("WRONGTYPE " + "; ".join(map(str, wrong))) from error

    async def scanned(self) -> set[str]:
        """Return every run that has a stream, registered or not."""
        return {run_id async for run_id in self._scan()}

    async def _scan(self) -> AsyncIterator[str]:
        pattern = keys.events_pattern(self._prefix)
        for server in await primaries_async(self._client):
            async for key in server.scan_iter(match=pattern, count=1000, _type="stream"):
                run_id = keys.run_of_events_key(key.decode("utf-8", "replace"), self._prefix)
                if run_id:
                    yield run_id

    async def unread(self, runs: Iterable[str]) -> set[str]:
        """Return those of the runs whose stream holds something that is not in their snapshot."""
        found = {}
        async for run_id, (last, version) in self._asked(
            runs,
            lambda run: (
                ("XREVRANGE", run.events, "+", "-", "COUNT", 1),
                ("HGET", run.checkpoint, "version"),
            ),
        ):
            # A run of which a key has the wrong type answers with an error: its owner has to see to it.
            if isinstance(last, Exception) or version == b"torn" or (last and last[0][0] != version):
                found[run_id] = version
        # The last entry may have been deleted since it was folded: few streams are asked for the last id they gave.
        async for run_id, (info,) in self._asked(found, lambda run: (("XINFO STREAM", run.events),)):
            if not isinstance(info, Exception) and info["last-generated-id"] == found[run_id]:
                del found[run_id]
        return set(found)

    async def at_rest(self, runs: Iterable[str], alive: Collection[str]) -> dict[str, RestPoint]:
        """Return those of the runs that none of the living workers owns, each with where it rests."""
        found = {}
        async for run_id, (reply,) in self._asked(
            runs, lambda run: (("HMGET", run.checkpoint, "owner", "generation", "version"),)
        ):
            # Whoever finds a checkpoint of the wrong type has to see to it first.
            if not isinstance(reply, Exception):
                owner, generation, version = _names(value or b"" for value in reply)
                if owner not in alive:
                    found[run_id] = RestPoint(generation, version)
        return found

    async def _asked(
        self, runs: Iterable[str], questions: Callable[[RunKeys], Sequence[Sequence[str | int]]]
    ) -> AsyncIterator[tuple[str, list[Any]]]:
        """Ask the same of many runs; yield each with the replies, of which some may be errors."""
        asked = sorted(run_id for run_id in runs if keys.is_run_id(run_id))
        for start in range(0, len(asked), _SLICE):
            some = asked[start : start + _SLICE]
            pipeline = self._client.pipeline(transaction=False)
            for run_id in some:
                for question in questions(RunKeys(run_id, self._prefix)):
                    pipeline.execute_command(*question)
            replies = await pipeline.execute(raise_on_error=False)
            each = len(replies) // len(some)
            for number, run_id in enumerate(some):
                yield run_id, replies[number * each : (number + 1) * each]

    async def touch(self, run_id: str) -> None:
        """Keep in the index that a run had an event just now."""
        await calls.run_async(self._client, calls.mark_active(keys.runs(self._prefix), run_id))

    async def retire(self, run_id: str, rest: RestPoint) -> bool:
        """Remove all keys of a run at once, only if it still rests and nothing is unread; return whether it was done."""
        run = RunKeys(run_id, self._prefix)
        removed = await calls.run_async(self._client, calls.remove_run(run, *rest))
        if removed >= 0:
            await self._client.zrem(keys.runs(self._prefix), run_id)
        return int(removed) >= 0

    async def publish_catalog(self, declared: Mapping[tuple[str, str], Declared]) -> None:
        """Write units and meanings of the declared fields where any tool can read them."""
        flat: list[str] = []
        for (event_type, name), one in declared.items():
            flat.append(f"{event_type}.{name}")
            flat.append(dump_json({"unit": one.unit, "meaning": one.meaning, "kept": one.kept}))
        await self._client.execute_command("HSET", keys.catalog(self._prefix), *flat)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _names(raw: Iterable[bytes]) -> list[str]:
    return [name.decode("utf-8", "replace") for name in raw]
