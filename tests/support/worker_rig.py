"""One run on a real server: add entries, run a worker, and compare the result with the fold of the stream.

The expectation is always `fold_entries` over the entries of the stream: it uses neither a worker nor a
script.
"""

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis import Redis

from sanctum_bus.connection import connect_async
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.state import MAX_ENVS
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.protocol.text_msgspec import encode_fields
from sanctum_bus.worker.run_loop import RunLoop
from sanctum_bus.worker.session import restore
from sanctum_bus.worker.settings import Settings, load
from sanctum_bus.worker.store import Commit, InFlight, Lease, RunStore
from sanctum_bus.worker.supervisor import Worker
from tests.support.fold_run import Entry, entry
from tests.support.servers import Server

T = TypeVar("T")

#: The run of most tests.
RUN = "r"

#: A section or a line as the server has it: texts by name.
Texts = dict[bytes, bytes]


def settings_of(server: Server, **given: object) -> Settings:
    """Settings of a worker for a server, with short intervals."""
    return load(
        **(
            {
                "redis_url": server.url,
                "poll_timeout_ms": 50,
                "heartbeat_interval_s": 0.05,
                "scan_interval_s": 0.05,
            }
            | given
        )
    )


def texts(fields: dict[str, Any]) -> Texts:
    """The texts by which a server stores these fields."""
    flat = [item if isinstance(item, bytes) else item.encode() for item in encode_fields(fields)]
    return dict(zip(flat[::2], flat[1::2], strict=True))


@dataclass
class Side:
    """A run as any tool sees it, and as a user may change it.

    Args:
        redis: an ordinary client with all permissions.
        keys: the run's keys.
    """

    redis: "Redis"
    keys: RunKeys

    def add(self, entries: Iterable[Entry], *, ids: Iterable[str] | None = None) -> list[str]:
        """Append entries as a publisher does, and return their IDs."""
        pipeline = self.redis.pipeline(transaction=False)
        for fields, entry_id in zip(entries, ids or itertools.repeat("*"), strict=ids is not None):
            pipeline.xadd(self.keys.events, cast("dict[Any, Any]", fields), id=entry_id)
        return [entry_id.decode() for entry_id in pipeline.execute()]

    def stream(self) -> list[tuple[str, Entry]]:
        """Every entry of the stream."""
        rows = cast("list[tuple[bytes, Entry]]", self.redis.xrange(self.keys.events))
        return [(entry_id.decode(), entry) for entry_id, entry in rows]

    def checkpoint(self, name: str = "version") -> str:
        """One field of the checkpoint, or `""`."""
        value = cast("bytes | None", self.redis.hget(self.keys.checkpoint, name))
        return "" if value is None else value.decode()

    def index(self) -> dict[str, str]:
        """Section names with the IDs of their last changes."""
        found = cast("Texts", self.redis.hgetall(self.keys.sections))
        return {name.decode(): changed.decode() for name, changed in found.items()}

    def sections(self) -> dict[str, Texts]:
        """Every section that exists by the index, raw."""
        names = [name for name, changed in self.index().items() if not changed.startswith("-")]
        return {name: cast("Texts", self.redis.hgetall(self.keys.section(name))) for name in names}

    def recent(self) -> list[str]:
        """The sections in the order of their last changes, as `recent` has it."""
        return [name.decode() for name in cast("list[bytes]", self.redis.zrange(self.keys.recent, 0, -1))]

    def coverage(self) -> dict[str, int]:
        """The coverage counts."""
        found = cast("Texts", self.redis.hgetall(self.keys.coverage))
        return {name.decode(): int(times) for name, times in found.items()}

    def lines(self, key: str) -> list[tuple[str, Texts]]:
        """A stream's lines, raw."""
        rows = cast("list[tuple[bytes, Texts]]", self.redis.xrange(key))
        return [(line_id.decode(), fields) for line_id, fields in rows]

    def dead(self) -> list[Texts]:
        """The dead letters."""
        return [fields for _, fields in self.lines(self.keys.dead)]

    def pending(self) -> int:
        """The number of entries that were delivered and not acknowledged."""
        return cast("int", cast("Any", self.redis.xpending(self.keys.events, "sanctum"))["pending"])

    def dump(self) -> dict[bytes, Any]:
        """Everything that the server has of the run, to be compared with a later state."""
        names = cast("list[bytes]", self.redis.keys(f"{self.keys.base}*"))
        return {name: self._content(name) for name in sorted(names)}

    def _content(self, name: bytes) -> Any:
        match cast("bytes", self.redis.type(name)):
            case b"hash":
                return self.redis.hgetall(name)
            case b"stream":
                rows = self.redis.xrange(name)
                groups = self.redis.xinfo_groups(name)
                pending = [self.redis.xpending_range(name, row["name"], "-", "+", 10_000) for row in groups]
                told = [{key: row[key] for key in ("name", "pending", "last-delivered-id")} for row in groups]
                idle = ("time_since_delivered",)
                return rows, told, [[_without(one, idle) for one in many] for many in cast("Any", pending)]
            case b"string":
                return self.redis.get(name)
            case kind:
                return kind


def _without(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def side_of(server: Server, run_id: str = RUN) -> Side:
    """A run on a server."""
    return Side(server.client(), RunKeys(run_id))


def differences(side: Side, expected: Aggregate) -> dict[str, tuple[Any, Any]]:
    """Every difference between the snapshot and the aggregate: what is there, and what should be there."""
    changes = expected.drain_changes()
    counters = expected.counters
    found: dict[str, Any] = {
        "sections": side.sections(),
        "version": side.checkpoint(),
        "recent": set(side.recent()),
        "log": side.lines(side.keys.log),
        "batches": side.lines(side.keys.batches),
        "coverage": side.coverage(),
        **{name: side.checkpoint(name) for name in ("entries", "events", "parked", "duplicates")},
    }
    wanted: dict[str, Any] = {
        "sections": {name: texts(fields) for name, fields in expected.state.sections.items()},
        "version": expected.version,
        "recent": set(side.index()),
        "log": [(line_id, texts(fields)) for line_id, fields in changes.lines],
        "batches": [(line_id, texts(fields)) for line_id, fields in changes.batches],
        "coverage": expected.coverage.counts,
        **{name: str(getattr(counters, name)) for name in ("entries", "events", "parked", "duplicates")},
    }
    return {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}


def assert_is_fold(side: Side, entries: Iterable[tuple[str, Entry]] | None = None) -> None:
    """Assert that the snapshot is exactly the fold of the entries, by default of all entries of the stream."""
    held = list(side.stream() if entries is None else entries)
    expected = fold_entries(held)
    holes = json.loads(side.checkpoint("lost_ranges") or "[]")
    trims = [hole for hole in holes if hole["reason"] == "trimmed" and hole["after"] == ZERO]
    if trims:
        # Entries that were removed before the first one show in the log alone; no entry indicates them.
        expected = Aggregate(memo=expected.memo)
        expected.record_trim(trims[-1]["until"], trims[-1]["entries"])
        for each in held:
            expected.apply(*each)
    assert differences(side, expected) == {}


def plain(count: int, first: int = 0) -> list[Entry]:
    """Numbered events of an undeclared type; each changes the same section, which has the last number."""
    return [
        entry("X", {"n": number}, event_id=f"e{number}", timestamp=float(number))
        for number in range(first, first + count)
    ]


def story(first: int = 0) -> list[Entry]:
    """A short run that changes and removes sections, writes lines and batches, parks one entry, and repeats one."""
    told: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("TRAINING_STARTED", {"n_envs": 2, "max_epochs": 2}, {}),
        ("SEED_GERMINATED", {"env_id": 0, "blueprint_id": "norm"}, {"slot_id": "r0c0"}),
        ("EPOCH_COMPLETED", {"env_id": 0, "inner_epoch": 1, "val_accuracy": 10.0}, {"epoch": 1}),
        ("REWARD_COMPUTED", {"env_id": 0, "action_name": "WAIT", "total_reward": float("nan")}, {}),
        ("SEED_CULLED", {"env_id": 0, "reason": "stagnation"}, {"slot_id": "r0c0"}),
        ("EPOCH_COMPLETED", {"env_id": "none"}, {}),
        ("PPO_UPDATE_COMPLETED", {"entropy": 1.0}, {}),
        ("BATCH_EPOCH_COMPLETED", {"episodes_completed": 2, "env_accuracies": [10.0, None]}, {}),
    ]
    return [
        entry(
            kind,
            data,
            event_id=f"s{number}",
            timestamp=float(number),
            producer="p",
            seq=number + 1,
            **envelope,
        )
        for number, (kind, data, envelope) in enumerate(told, first)
    ]


def drain(server: Server, **given: object) -> Worker:
    """Drain every run with a new worker, and return the worker."""

    async def work() -> Worker:
        worker = Worker(settings_of(server, **given))
        await worker.drain()
        return worker

    return asyncio.run(work())


async def loaded(store: RunStore, lease: Lease) -> Aggregate:
    """The aggregate of a run's snapshot."""
    return restore(lease, await store.load(lease), RecoveryMemo(), max_envs=MAX_ENVS)


def commit_of(aggregate: Aggregate, version: str, in_flight: InFlight) -> Commit:
    """The commit of what an aggregate has folded since a version."""
    changes = aggregate.drain_changes()
    return Commit(changes, aggregate.counters.to_checkpoint(), version, in_flight)


Use = Callable[["Rig"], Coroutine[Any, Any, T]]


@dataclass
class Rig:
    """The loop of one run, with its parts accessible."""

    loop: RunLoop
    store: RunStore
    side: Side
    stop: asyncio.Event

    async def begin(self, count: int = 100) -> tuple[Aggregate, Lease, InFlight]:
        """Acquire the run, and fold its next entries without committing them."""
        lease = await self.store.acquire("me", blameless=True)
        assert lease is not None
        aggregate, in_flight = await loaded(self.store, lease), InFlight([])
        entries = await self.store.read(count)
        in_flight.ids += [raw_id.decode() for raw_id, _ in entries]
        aggregate.apply_batch(entries)
        return aggregate, lease, in_flight

    async def commit(
        self, aggregate: Aggregate, lease: Lease, in_flight: InFlight, version: str = "", *, count: int = 0
    ) -> Entries:
        """Commit what `begin` has folded, and return the entries that the commit has read.

        Args:
            aggregate: from `begin`.
            lease: from `begin`.
            in_flight: from `begin`.
            version: of the last commit; by default the one of the lease.
            count: number of entries to read.
        """
        commit = commit_of(aggregate, version or lease.version, in_flight)
        return await self.store.commit(lease, commit, count=count)

    async def turn(self) -> None:
        """Acquire the run, and let the loop fold one batch."""
        await self.loop._acquire(self.stop)
        await self.loop._fold(self.stop)

    async def drain(self) -> None:
        """Let the loop fold the entries of the stream."""
        await self.loop.drain(self.stop)


def rigged(server: Server, use: Use[T], *, kind: type[RunStore] = RunStore, **given: object) -> T:
    """Run a coroutine function over the loop of one run on a server, and return its result.

    Args:
        server: the server.
        use: the coroutine function.
        kind: the class of the store, for tests that inject faults.
        given: settings.
    """

    async def work() -> T:
        settings = settings_of(server, **given)
        client, blocking = connect_async(server.url), connect_async(server.url)
        side = side_of(server)
        store = kind(client, blocking, side.keys, settings)
        loop = RunLoop(RUN, store, settings, "me")
        rig = Rig(loop, store, side, asyncio.Event())
        try:
            return await use(rig)
        finally:
            await client.aclose()
            await blocking.aclose()

    return asyncio.run(work())
