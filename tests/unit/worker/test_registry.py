"""The registry lists the runs and finds those with unread entries. Quick tests on a fake server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fakeredis import FakeAsyncRedis

from sanctum_bus.events import catalog
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.worker.registry import Registry

T = TypeVar("T")


def on_registry(use: Callable[[Any, Registry], Awaitable[T]]) -> T:
    """Use a registry on a new fake server."""

    async def work() -> T:
        client = FakeAsyncRedis()
        try:
            return await use(client, Registry(client, "nissa"))
        finally:
            await client.aclose()

    return asyncio.run(work())


def test_a_scan_finds_streams_with_the_name_of_a_run_and_nothing_else() -> None:
    """A scan ignores keys of other types, keys with other prefixes, and names that are not run IDs."""

    async def use(client: Any, registry: Registry) -> set[str]:
        for key in ("nissa:{a}:events", "nissa:{b-1}:events", "other:{c}:events", "nissa:{bad id}:events"):
            await client.xadd(key, {"type": "X"})
        await client.set("nissa:{d}:events", "not a stream")
        return await registry.scan()

    assert on_registry(use) == {"a", "b-1"}


def test_a_run_is_unread_when_its_stream_goes_beyond_its_version() -> None:
    """A run has unread entries if its checkpoint is missing or before the last entry.

    It has none if the checkpoint is at the last entry, even if that was deleted, or if there is no stream.
    """

    async def use(client: Any, registry: Registry) -> set[str]:
        for run, version in (("new", None), ("behind", "1-1"), ("level", "5-0")):
            await client.xadd(RunKeys(run).events, {"type": "X"}, id="5-0")
            if version:
                await client.hset(RunKeys(run).checkpoint, "version", version)
        await client.xadd(RunKeys("deleted").events, {"type": "X"}, id="4-0")
        await client.xadd(RunKeys("deleted").events, {"type": "X"}, id="5-0")
        await client.xdel(RunKeys("deleted").events, "5-0")
        await client.hset(RunKeys("deleted").checkpoint, "version", "5-0")
        return await registry.with_unread({"new", "behind", "level", "deleted", "gone", "not a run id"})

    assert on_registry(use) == {"new", "behind"}


def test_the_index_knows_all_runs_and_the_active_ones() -> None:
    """A run is active since a time if its last event is not older."""

    async def use(client: Any, registry: Registry) -> tuple[set[str], set[str]]:
        await client.zadd(keys.runs(), {"old": 1_000, "young": 9_000})
        return await registry.registered(), await registry.active(5_000)

    assert on_registry(use) == ({"old", "young"}, {"young"})


def test_units_and_meanings_can_be_read_from_the_server() -> None:
    """Any tool can read the unit and meaning of a declared field from the server, without Sanctum."""

    async def use(client: Any, registry: Registry) -> Any:
        await registry.publish_catalog(catalog.declared())
        return await client.hget(keys.catalog(), "EPOCH_COMPLETED.val_accuracy")

    found = json.loads(on_registry(use))
    assert found["unit"].startswith("percent")
    assert "env:<env_id> val_accuracy" in found["kept"]
