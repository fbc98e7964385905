"""A canceled task ends at any point of a command."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from sanctum_bus.connection import connect_async
from tests.support.servers import Server

#: Turns of the event loop: more than a command or a wait for a message takes.
TURNS = 40

#: Seconds after which a canceled task counts as running on.
PATIENCE_S = 5.0

Work = Callable[[Redis], Awaitable[object]]


async def _commands(client: Redis) -> None:
    while True:
        await client.execute_command("PING")


async def _pipelines(client: Redis) -> None:
    while True:
        pipeline = client.pipeline(transaction=True)
        pipeline.execute_command("PING")
        await pipeline.execute()


async def _requests(client: Redis) -> None:
    while True:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("PING")
        pipeline.execute_command("PING")
        await pipeline.execute()


async def _messages(client: Redis) -> None:
    async with aclosing(client.pubsub()) as pubsub:
        while True:
            await pubsub.ssubscribe("channel")
            await pubsub.get_message(timeout=0.001)
            await pubsub.get_message()


async def _cancel_after(turns: int, work: Work, client: Redis) -> None:
    task = asyncio.ensure_future(work(client))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=PATIENCE_S)
    assert task.cancelled(), f"the task runs on after a cancellation {turns} turns after its start"


@pytest.mark.parametrize("work", [_commands, _pipelines, _requests, _messages])
def test_a_cancelled_task_ends(valkey: Server, work: Work) -> None:
    """No cancellation is lost while a connection is made, a command is sent, or a reply is awaited."""

    async def at_every_turn() -> None:
        client = connect_async(valkey.url)
        for turns in range(TURNS):
            await _cancel_after(turns, work, client)
        await client.aclose()

    asyncio.run(at_every_turn())
