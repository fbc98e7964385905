"""Publishers as coroutines: the real buffer, the real batches and the real sender's state, without its thread."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import msgpack
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sanctum_bus.connection.retry import backoff_s
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.publisher.batch import BatchResult, batch_commands, parse_replies
from sanctum_bus.publisher.buffer import Buffer
from sanctum_bus.publisher.config import PublisherConfig
from sanctum_bus.publisher.entry import Counts, Entry
from sanctum_bus.publisher.sender import Sender
from sanctum_bus.publisher.wakeup import WakeUp

NewClient = Callable[[], Redis]

#: An event type whose fold fails half-way in the simulation.
SPOILS = "SPOILS"

_KINDS: tuple[tuple[str, Callable[[int], Any]], ...] = (
    ("SEED_GERMINATED", lambda number: {"env_id": number % 2, "blueprint_id": "norm"}),
    ("SEED_STAGE_CHANGED", lambda number: {"env_id": number % 2, "to": "TRAINING"}),
    (
        "EPOCH_COMPLETED",
        lambda number: {"env_id": number % 2, "inner_epoch": number, "val_accuracy": number / 7},
    ),
    (
        "REWARD_COMPUTED",
        lambda number: {"env_id": number % 2, "action_name": "WAIT", "total_reward": number / 3},
    ),
    ("SEED_CULLED", lambda number: {"env_id": number % 2, "reason": "stagnation"}),
    ("BATCH_EPOCH_COMPLETED", lambda number: {"episodes_completed": number, "env_accuracies": [1.0, None]}),
    ("PPO_UPDATE_COMPLETED", lambda number: {"entropy": 1.0 / number}),
    ("ANYTHING", lambda number: {"n": number}),
)


def event_of(chance: Random, number: int, poison: float) -> tuple[str, bytes]:
    """Return an event's type and its map; sometimes one that cannot be folded."""
    luck = chance.random()
    if luck < poison:
        return "ANYTHING", b"\xc1 no map"
    kind, data = ("TRAINING_STARTED", {"n_envs": 2}) if number == 1 else _choice(chance, number)
    kind = SPOILS if luck < 1.5 * poison else kind
    body = {"v": 1, "event_id": f"e{number}", "timestamp": float(number), "slot_id": "r0c0", "data": data}
    return kind, msgpack.packb(body)


def _choice(chance: Random, number: int) -> tuple[str, Any]:
    kind, data = chance.choice(_KINDS)
    return kind, data(number)


class SimPublisher:
    """One producer, which emits for a while, and sends by the rules of `publisher/sender.py` and `publisher/connection.py`.

    Args:
        new_client: creates a client; called again after each failure.

    Attributes:
        accepted: sequence numbers of the events that the server has accepted.
        refused: sequence numbers of the sent events that the server has refused because a later one came
            first.
        done: everything is sent, the end-of-stream marker included.
    """

    batch_events = 4

    def __init__(
        self, run_id: str, producer: str, chance: Random, new_client: NewClient, buffer_events: int
    ) -> None:
        self.run_id, self.producer = run_id, producer
        self._chance = chance
        self._new_client = new_client
        self._client: Redis | None = None
        self.buffer = Buffer(buffer_events, 1 << 20, lambda: None)
        self._plan = PublisherConfig(
            run_id=run_id,
            key_prefix=keys.DEFAULT_PREFIX,
            labels={},
            buffer_events=buffer_events,
            buffer_bytes=1 << 20,
            batch_events=self.batch_events,
            batch_bytes=1 << 20,
            linger_s=0.0,
            close_timeout_s=1.0,
            maxlen=None,
        )
        self.sender = Sender(self._plan, producer, self.buffer, WakeUp(), lambda: None)  # type: ignore[arg-type, return-value]
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self._emitting = True
        self.done = False
        self._touched = -10.0

    async def work(self, count: int, pace_s: float, poison: float) -> None:
        """Emit events, send them, and send the end-of-stream marker."""
        sending = asyncio.create_task(self._send())
        for number in range(1, count + 1):
            self.buffer.put(*event_of(self._chance, number, poison))
            if self._chance.random() < 0.7:
                await asyncio.sleep(self._chance.expovariate(1 / pace_s))
        self._emitting = False
        self.buffer.close()
        await sending

    async def _send(self) -> None:
        while not self.done:
            if self.buffer.wake_at(1):
                await self.deliver()
            elif self._emitting:
                await asyncio.sleep(0.01)
            else:
                await self._say_goodbye()
            await self._touch()
        await self._drop_client()

    async def deliver(self) -> None:
        """Send a batch until it is in the stream; a batch under way is never changed or dropped."""
        entries = self.buffer.take(self.batch_events, 1 << 20)
        while entries:
            counts = self.buffer.counts
            result = await self.insist(self.batch_of(entries, counts.sent + len(entries), counts))
            settled = result.sent + result.lost
            self.settle(result, entries[:settled])
            entries = entries[settled:]

    def settle(self, result: BatchResult, entries: list[Entry]) -> None:
        """Record what the server has accepted."""
        self.buffer.acknowledge(result.sent, result.lost)
        self.accepted += [entry.seq for entry in entries[result.lost :]]
        self.refused += [entry.seq for entry in entries[: result.lost]]
        self.sender._on_accepted(result, entries)

    def batch_of(self, entries: list[Entry], sent: int, counts: Counts) -> list[Any]:
        """Return the commands of a batch."""
        return batch_commands(self.sender._route, entries, sent, counts, asyncio.get_running_loop().time())

    async def insist(self, batch: list[Any]) -> BatchResult:
        """Send the same batch until it is accepted."""
        failures = 0
        while True:
            with suppress(RedisError, OSError):
                result = parse_replies(await self.execute(batch))
                if result.sent:
                    return result
            failures += 1
            await self._drop_client()
            await asyncio.sleep(backoff_s(failures, self._chance.random()))

    async def execute(self, batch: list[Any]) -> list[Any]:
        """Send a batch once."""
        if self._client is None:
            self._client = self._new_client()
        async with self._client.pipeline(transaction=True) as pipe:
            for command in batch:
                pipe.execute_command(*command)
            found: list[Any] = await pipe.execute(raise_on_error=False)
            return found

    async def _touch(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._touched < 1.0 and not self.done:
            return
        self._touched = now
        client = self._new_client()
        with suppress(RedisError, OSError):
            seconds, microseconds = await client.execute_command("TIME")
            score = int(seconds) * 1000 + int(microseconds) // 1000
            await client.execute_command("ZADD", keys.runs(), "GT", score, self.run_id)
        await client.aclose()

    async def _say_goodbye(self) -> None:
        farewell = self.buffer.closing_entry()
        if farewell is not None:
            goodbye, counts = farewell
            data = {"sent": counts.sent, "dropped": counts.dropped - counts.unnumbered}
            event = msgpack.packb({"v": 1, "timestamp": 1.0, "data": data})
            last = goodbye._replace(event=event)
            result = await self.insist(self.batch_of([last], counts.sent, counts))
            self.accepted.append(last.seq)
            self.sender._on_accepted(result, [])
        self.done = not self.buffer.wake_at(1)

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class Hand:
    """A user at a prompt, who adds entries without producer and number; each is sent once, with or without a reply."""

    done = False

    def __init__(self, run_id: str, chance: Random, new_client: NewClient) -> None:
        self.run_id = run_id
        self._chance = chance
        self._client = new_client()

    async def work(self, count: int, pace_s: float) -> None:
        """Append entries."""
        run = RunKeys(self.run_id)
        for number in range(1, count + 1):
            text = json.dumps({"v": 1, "data": {"n": number}})
            with suppress(RedisError, OSError):
                await self._client.execute_command("XADD", run.events, "*", "type", "BY_HAND", "json", text)
            await asyncio.sleep(self._chance.expovariate(1 / pace_s))
        self.done = True
        await self._client.aclose()
