"""The directory of a server: which runs there are, and which of them have something unread. Quick, on a fake server."""

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


def ask(question: Callable[[Any, Registry], Awaitable[T]]) -> T:
    """Ask a directory on a fake server of its own."""

    async def asked() -> T:
        client = FakeAsyncRedis()
        try:
            return await question(client, Registry(client, "nissa"))
        finally:
            await client.aclose()

    return asyncio.run(asked())


def test_a_scan_finds_streams_with_the_name_of_a_run_and_nothing_else() -> None:
    """Keys of other types, other prefixes, and names that are no run ids are nobody's run."""

    async def question(client: Any, directory: Registry) -> set[str]:
        for key in ("nissa:{a}:events", "nissa:{b-1}:events", "other:{c}:events", "nissa:{bad id}:events"):
            await client.xadd(key, {"type": "X"})
        await client.set("nissa:{d}:events", "no stream")
        return await directory.scanned()

    assert ask(question) == {"a", "b-1"}


def test_a_run_is_unread_when_its_stream_goes_beyond_its_version() -> None:
    """No checkpoint, or one behind the last entry: unread; one at the last entry, deleted or not, or no stream: not."""

    async def question(client: Any, directory: Registry) -> set[str]:
        for run, version in (("new", None), ("behind", "1-1"), ("level", "5-0")):
            await client.xadd(RunKeys(run).events, {"type": "X"}, id="5-0")
            if version:
                await client.hset(RunKeys(run).checkpoint, "version", version)
        await client.xadd(RunKeys("deleted").events, {"type": "X"}, id="4-0")
        await client.xadd(RunKeys("deleted").events, {"type": "X"}, id="5-0")
        await client.xdel(RunKeys("deleted").events, "5-0")
        await client.hset(RunKeys("deleted").checkpoint, "version", "5-0")
        return await directory.unread({"new", "behind", "level", "deleted", "gone", "no run id"})

    assert ask(question) == {"new", "behind"}


def test_the_index_knows_all_runs_and_the_active_ones() -> None:
    """A run is active since a time when its last event is not older."""

    async def question(client: Any, directory: Registry) -> tuple[set[str], set[str]]:
        await client.zadd(keys.runs(), {"old": 1_000, "young": 9_000})
        return await directory.known(), await directory.active(5_000)

    assert ask(question) == ({"old", "young"}, {"young"})


def test_units_and_meanings_can_be_read_from_the_server() -> None:
    """Any tool finds what a declared field means, without Sanctum."""

    async def question(client: Any, directory: Registry) -> Any:
        await directory.publish_catalog(catalog.declared())
        return await client.hget(keys.catalog(), "EPOCH_COMPLETED.val_accuracy")

    found = json.loads(ask(question))
    assert found["unit"].startswith("percent")
    assert "env:<env_id> val_accuracy" in found["kept"]
