"""The model server replies as a real one does: the same commands to both have the same replies."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, cast

import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from sanctum_bus.connection.low_latency import entries_of
from sanctum_bus.errors import RestartRun
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.store import InFlight, RunStore
from tests.support.fold_run import entry
from tests.support.servers import Server
from tests.support.worker_rig import commit_of, loaded
from tests.system.simulation.replies import ReplyError
from tests.system.simulation.server import Model

RUN = RunKeys("r")
KEYS = (RUN.events, RUN.log, RUN.coverage, RUN.section("a"), RUN.section("b"), "nissa:runs", "nobody")
IDS = [f"{ms}-{seq}" for ms in range(1, 40) for seq in range(2)]
GROUPS = ("sanctum", "other")

#: Fields of XINFO that the model has.
_TOLD = frozenset(
    b"length last-generated-id max-deleted-entry-id entries-added groups first-entry last-entry name pending last-delivered-id consumers".split()
)


def _plain(command: str, reply: Any) -> Any:
    """Return a reply without what may differ: order of hashes, time, texts of errors, unused fields of XINFO."""
    if isinstance(reply, Exception):
        return str(reply).split(" ")[0]
    if command == "XINFO" and isinstance(reply, list):
        flats = reply if reply and isinstance(reply[0], list) else [reply]
        infos = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in flats]
        return sorted(str({name: info[name] for name in sorted(_TOLD & info.keys())}) for info in infos)
    if command == "XPENDING" and reply and isinstance(reply[0], list):
        return [row[:2] for row in reply]
    if command in {"HGETALL", "HKEYS"}:
        return sorted(reply)
    if (
        command in {"EVALSHA", "EVAL", "EVALSHA_RO", "EVAL_RO"}
        and isinstance(reply, list)
        and len(reply) > 6
        and isinstance(reply[0], list)
    ):
        pairs = zip(reply[7::2], reply[8::2], strict=True)
        return [
            *map(sorted, reply[:3]),
            reply[3],
            reply[6],
            sorted((name, sorted(flat)) for name, flat in pairs),
        ]
    return reply


class Both:
    """A client that sends commands to the real server and to the model, and compares the replies."""

    def __init__(self, server: Server) -> None:
        self._real = Redis.from_url(server.url, protocol=2)
        self._real.script_flush()
        self._connection = cast("Any", self._real.connection_pool).get_connection()
        self.model = Model(lambda: 1_000_000)
        self.asked = 0

    async def execute_command(self, *arguments: Any) -> Any:
        """Send a command to both; return or raise the reply of the real one."""
        self.asked += 1
        encoded = [one if isinstance(one, bytes) else str(one).encode() for one in arguments]
        command = str(arguments[0])
        self._connection.send_command(*arguments)
        real: Any
        try:
            real = self._connection.read_response()
        except ResponseError as error:
            real = error
        found = self.model.perform(encoded)
        # The client library has classes for some errors; it names the others by their first word.
        if isinstance(real, ResponseError) and isinstance(found, ReplyError):
            assert type(real) is not ResponseError or _plain(command, real) in {
                _plain(command, found),
                *_UNNAMED,
            }
        else:
            assert _plain(command, found) == _plain(command, real), encoded
        if isinstance(real, Exception):
            raise real
        return entries_of(real) if command == "XREADGROUP" else real

    def close(self) -> None:
        """Leave the real server."""
        self._connection.disconnect()
        self._real.close()


#: First words of errors whose code the client library removes.
_UNNAMED = frozenset({"The", "value", "wrong", "unknown", "no", "Invalid", "syntax"})


def _stream_command(chance: Random) -> tuple[object, ...]:
    stream, one, group = chance.choice(KEYS[:2]), chance.choice(IDS), chance.choice(GROUPS)
    rows: tuple[tuple[object, ...], ...] = (
        ("XADD", stream, one, "f", chance.randrange(9)),
        ("XDEL", stream, one),
        ("XTRIM", stream, "MAXLEN", chance.randrange(20)),
        ("XTRIM", stream, "MINID", one),
        ("XLEN", chance.choice(KEYS)),
        ("XRANGE", stream, chance.choice(["-", one, f"({one}"]), "+", "COUNT", chance.randrange(1, 4)),
        ("XREVRANGE", stream, "+", "-", "COUNT", 1),
        ("XINFO", "STREAM", chance.choice(KEYS)),
        ("XINFO", "GROUPS", stream),
        ("XACK", stream, group, one),
        ("XPENDING", stream, group),
        ("XPENDING", stream, group, "-", one, 5),
        ("XGROUP", "CREATE", stream, group, chance.choice(["$", "0", one])),
        ("XGROUP", "SETID", stream, group, chance.choice(["$", "0", one])),
        ("XGROUP", "DESTROY", stream, "other"),
        ("XGROUP", "DELCONSUMER", stream, group, "debug"),
        ("XREADGROUP", "GROUP", group, chance.choice(["owner", "debug"]), "COUNT", 2, "STREAMS", stream, ">"),
        ("XREAD", "COUNT", 2, "STREAMS", stream, one),
    )
    return chance.choice(rows)


def _other_command(chance: Random) -> tuple[object, ...]:
    hash_key, field = chance.choice(KEYS[2:5]), chance.choice("xyz")
    rows: tuple[tuple[object, ...], ...] = (
        ("HSET", hash_key, field, chance.randrange(5)),
        ("HDEL", hash_key, field),
        ("HGET", chance.choice(KEYS), field),
        ("HMGET", hash_key, "x", "y"),
        ("HGETALL", hash_key),
        ("HLEN", hash_key),
        ("HINCRBY", hash_key, field, 2),
        ("ZADD", "nissa:runs", "GT", chance.randrange(9), field),
        ("ZADD", "nissa:runs", chance.randrange(9), field),
        ("ZREM", "nissa:runs", field),
        ("ZRANGE", "nissa:runs", 0, -1),
        ("ZRANGEBYSCORE", "nissa:runs", chance.choice(["-inf", "(3"]), "+inf"),
        ("ZREMRANGEBYSCORE", "nissa:runs", "-inf", "(2"),
        ("TYPE", chance.choice(KEYS)),
        ("EXISTS", *KEYS),
        ("DEL", chance.choice(KEYS[1:])),
        ("UNLINK", hash_key),
        ("SET", KEYS[6], "x"),
    )
    return chance.choice(rows)


def _random_command(chance: Random) -> tuple[object, ...]:
    return _stream_command(chance) if chance.random() < 0.5 else _other_command(chance)


Step = Callable[[Both, Random], Any]


async def _commands(both: Both, chance: Random) -> None:
    for _ in range(400):
        with suppress(ResponseError):
            await both.execute_command(*_random_command(chance))


async def _scripts(both: Both, chance: Random) -> None:
    """Acquire, load, read and commit, with random commands in between."""
    client = cast("Any", both)
    store = RunStore(client, client, RUN, load())
    # A generation that is above both clocks.
    await both.execute_command("HSET", RUN.checkpoint, "generation", 4_000_000_000_000)
    for number in range(1, 40):
        event = entry(chance.choice(("A", "SEED_CULLED", "B")), {"n": number, "env_id": 1}, slot_id="r0c0")
        flat = [part for pair in event.items() for part in pair]
        with suppress(RestartRun, RedisError):
            await both.execute_command("XADD", RUN.events, f"{number}-1", *flat)
            lease = await store.acquire("me", blameless=chance.random() < 0.5)
            assert lease is not None
            aggregate, in_flight = await loaded(store, lease), InFlight([])
            for _ in range(chance.randrange(3)):
                entries = await store.read(chance.randrange(1, 4))
                in_flight.ids += [raw_id.decode() for raw_id, _ in entries]
                aggregate.apply_batch(entries)
            for _ in range(chance.choice((0, 0, 2))):
                with suppress(ResponseError):
                    await both.execute_command(*_random_command(chance))
            await store.commit(lease, commit_of(aggregate, lease.version, in_flight))
            await (store.make_idle(lease) if chance.random() < 0.3 else store.release(lease))


async def _compare_everything(both: Both) -> None:
    for name in list(both.model.keys):
        kind = both.model.kind_of(name)
        if name == RUN.dead.encode():
            # Its IDs depend on the time.
            await both.execute_command("XLEN", name)
            continue
        asked = {
            b"hash": ("HGETALL", name),
            b"stream": ("XRANGE", name, "-", "+"),
            b"zset": ("ZRANGE", name, 0, -1),
        }
        if kind in asked:
            await both.execute_command(*asked[kind])


@pytest.mark.parametrize("step", [_commands, _scripts], ids=["commands", "scripts"])
def test_model_answers_as_a_server_does(valkey: Server, step: Step) -> None:
    """Ten thousand random commands, with the real scripts between them, have the same replies."""
    for seed in range(25):
        valkey.client().flushall()
        both = Both(valkey)

        async def work(both: Both = both, seed: int = seed) -> None:
            await step(both, Random(seed))  # noqa: S311  # a seed must lead to the same world again
            await _compare_everything(both)

        asyncio.run(work())
        both.close()
