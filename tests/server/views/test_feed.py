"""The feed of a run: one reader for many watchers, the latest view for each, and the truth when it cannot be read."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sanctum_bus.errors import Unavailable, UnknownRun
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader import AsyncReader
from sanctum_bus.views.build import build
from sanctum_bus.views.feed import RunFeed
from sanctum_bus.views.model import RunView
from tests.support.commands import SMALL, Run
from tests.support.servers import Server
from tests.support.worker_rig import Side, drain, plain, side_of

RUN = RunKeys("r")

#: Seconds that anything may take.
_DEADLINE_S = 20.0


def with_feed(server: Server, use: Callable[[RunFeed], Awaitable[None]], run: str = RUN.run_id) -> None:
    """Run a test with a feed that reads as often as it can."""

    async def body() -> None:
        async with AsyncReader(server.url) as reader, asyncio.timeout(_DEADLINE_S):
            await use(RunFeed(reader, run, interval_s=0.01))

    asyncio.run(body())


async def until(feed: RunFeed, condition: Callable[[RunView], bool]) -> RunView:
    """Return the first view that meets a condition."""
    async for view in feed.views():
        if condition(view):
            return view
    raise AssertionError("the feed ended")


def folded(server: Server, count: int) -> Side:
    """Fold so many events of a run."""
    side = side_of(server)
    side.add(plain(count, first=int(side.redis.xlen(side.keys.events))))
    drain(server)
    return side


def test_the_view_is_the_snapshot(valkey: Server) -> None:
    """The view of a feed is built from the snapshot and the newest lines that a reader returns at that version."""
    Run(valkey.url, RUN.run_id).play(SMALL[0].path)

    async def use(feed: RunFeed) -> None:
        await feed.read()
        async with AsyncReader(valkey.url) as reader:
            snapshot, lines = await reader.snapshot(RUN.run_id), await reader.log(RUN.run_id, newest=200)
        assert feed.view is not None
        expected = build(snapshot, lines)
        assert (feed.view.arms, feed.view.log) == (expected.arms, expected.log)
        assert feed.view.header.version == snapshot.version

    with_feed(valkey, use)


def test_many_watchers_share_one_reader(valkey: Server) -> None:
    """However many watchers a feed has, the server executes one read for all of them."""
    folded(valkey, 3)

    async def use(feed: RunFeed) -> None:
        async with feed.running():
            watching = [
                asyncio.create_task(until(feed, lambda view: view.header.events == 8)) for _ in range(50)
            ]
            await asyncio.sleep(0)
            await asyncio.to_thread(folded, valkey, 5)
            found = await asyncio.gather(*watching)
        assert all(view is found[0] for view in found)

    with_feed(valkey, use)


def test_a_slow_watcher_skips_views(valkey: Server) -> None:
    """A watcher that did not look for a while gets the latest view, and no other one."""
    folded(valkey, 1)

    async def use(feed: RunFeed) -> None:
        async with feed.running():
            slow = feed.views()
            first = await anext(slow)
            for _ in range(3):
                await asyncio.to_thread(folded, valkey, 1)
            await until(feed, lambda view: view.header.events == 4)
            latest = await anext(slow)
            await slow.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert (first.header.events, latest.header.events) == (1, 4)

    with_feed(valkey, use)


def test_a_run_that_does_not_exist(valkey: Server) -> None:
    """A feed of an unknown run fails at its start, unless it is to wait for the run."""

    async def use(feed: RunFeed) -> None:
        with pytest.raises(UnknownRun):
            async with feed.running():
                raise AssertionError("the feed runs")

    async def waits() -> None:
        async with AsyncReader(valkey.url) as reader, asyncio.timeout(_DEADLINE_S):
            feed = RunFeed(reader, RUN.run_id, wait_for_run=True, interval_s=0.01)
            async with feed.running():
                assert feed.view is None
                await asyncio.to_thread(folded, valkey, 2)
                assert (await until(feed, lambda view: view.header.events == 2)).header.run_id == RUN.run_id

    with_feed(valkey, use)
    asyncio.run(waits())


def test_a_removed_run(valkey: Server) -> None:
    """If the run is removed, the last view stays with a finding."""
    folded(valkey, 2)

    async def use(feed: RunFeed) -> None:
        async with feed.running():
            valkey.client().flushall()
            view = await until(feed, lambda view: any(one.kind == "problem" for one in view.findings))
        assert view.findings[0].text == "the run was removed"
        assert view.header.events == 2

    with_feed(valkey, use)


def test_a_live_view_stays(valkey: Server) -> None:
    """A view keeps its last state and names the key of the wrong type; it recovers when the key is repaired."""
    folded(valkey, 2)

    async def use(feed: RunFeed) -> None:
        client = valkey.client()
        await feed.read()
        for name in ("checkpoint", "log"):
            client.rename(RUN.base + name, "aside")
            client.set(RUN.base + name, "x")
            client.hincrby("aside" if name == "checkpoint" else RUN.checkpoint, "generation", 1)
            await feed.read()
            assert feed.view is not None
            assert f"{RUN.base}{name} has type string" in feed.view.findings[0].text
            client.rename("aside", RUN.base + name)
            await feed.read()
            assert feed.view.findings == ()
            assert feed.view.log

    Run(valkey.url, RUN.run_id).play(SMALL[0].path)
    with_feed(valkey, use)


@pytest.mark.parametrize("name", ["checkpoint", "log"])
def test_a_live_view_does_not_begin(valkey: Server, name: str) -> None:
    """If the first read fails there is no view, and the error names the key."""
    folded(valkey, 2)
    valkey.client().delete(RUN.base + name)
    valkey.client().set(RUN.base + name, "x")

    async def use(feed: RunFeed) -> None:
        with pytest.raises(Unavailable, match="has type string") as raised:
            await feed.read()
        assert RUN.base + name in str(raised.value)

    with_feed(valkey, use)


def test_a_server_that_goes_away(start_server: Callable[[], Server]) -> None:
    """If the server is unavailable, the last view stays with a finding, and the feed recovers with the server."""
    server = start_server()
    folded(server, 2)

    async def use(feed: RunFeed) -> None:
        async with feed.running():
            await asyncio.to_thread(server.kill)
            view = await until(feed, lambda view: any(one.kind == "problem" for one in view.findings))
            assert "the server is unavailable" in view.findings[0].text
            await asyncio.to_thread(server.restart)
            await until(feed, lambda view: not view.findings)

    with_feed(server, use)
