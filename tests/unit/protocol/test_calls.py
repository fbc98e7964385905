"""Calls of the Lua scripts: by digest, and by text if the server lacks the script."""

import asyncio
from collections.abc import Generator
from importlib.resources import files
from typing import Any

import pytest
from redis.exceptions import NoScriptError

from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import calls, script
from sanctum_bus.protocol.scripts.calls import ScriptCall

RUN = RunKeys("r", "p")

CALLS = [
    calls.acquire(RUN, "w", blameless=True),
    calls.release(RUN, "1", idle=False),
    calls.commit(RUN, ["run"], ["1"]),
    calls.replace_snapshot(RUN, ["run"], ["1"]),
    calls.read_snapshot(RUN, want="names", coverage=True),
    calls.lag(RUN, "5-0"),
    calls.key_types(RUN),
    calls.lock_run(RUN, 100),
    calls.requeue(RUN, ["5-0", 0]),
    calls.remove_run(RUN, "1", "5-0"),
    calls.heartbeat(keys.workers("p"), "w", 100),
    calls.set_worker_state(keys.workers_state("p"), "w", "{}", {"b", "a"}),
    calls.mark_active(keys.runs("p"), "r"),
]


def test_every_script_has_one_call() -> None:
    """Each script has exactly one function that builds its call."""
    scripts = {
        path.name.removesuffix(".lua")
        for path in files("sanctum_bus.protocol.scripts").iterdir()
        if path.name.endswith(".lua") and path.name != "shared.lua"
    }

    assert sorted(call.name for call in CALLS) == sorted(scripts)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_the_keys_of_a_call_are_on_one_slot(call: ScriptCall) -> None:
    """All keys of a call have the hash tag of the run, or the call has one key that belongs to no run."""
    assert len(call.keys) == 1 or all(key.startswith(RUN.base) for key in call.keys)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_both_commands_differ_only_in_the_script(call: ScriptCall) -> None:
    """The command by digest and the command by text have the same keys and arguments."""
    text, digest = script(call.name)
    read_only = "_RO" if "no-writes" in text.partition("\n")[0] else ""
    rest = (len(call.keys), *call.keys, *call.arguments)

    assert call.by_digest == (f"EVALSHA{read_only}", digest, *rest)
    assert call.by_text == (f"EVAL{read_only}", text, *rest)


class _Server:
    """A client of a server that has a script only after it has received its text."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    def execute_command(self, *command: Any) -> str:
        self.received.append(command[0])
        if command[0].startswith("EVALSHA") and not any(
            name.startswith("EVAL") and "SHA" not in name for name in self.received
        ):
            raise NoScriptError("NOSCRIPT No matching script")
        return "ok"


class _AsyncServer(_Server):
    def pipeline(self, *, transaction: bool) -> "_Pipeline":
        assert not transaction
        return _Pipeline(self)

    async def execute_command(self, *command: Any) -> str:  # type: ignore[override]
        return super().execute_command(*command)


class _Pipeline:
    def __init__(self, server: _AsyncServer) -> None:
        self._server = server
        self._commands: list[Any] = []

    def execute_command(self, *command: Any) -> None:
        self._commands.append(command)

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        replies: list[Any] = []
        for command in self._commands:
            try:
                replies.append(await self._server.execute_command(*command))
            except NoScriptError as error:
                replies.append(error)
        return replies


CALL = calls.lock_run(RUN, 100)


def test_a_client_sends_the_text_once() -> None:
    """A server that lacks the script receives its text once, and the digest alone afterwards."""
    server = _Server()

    assert [calls.run(server, CALL) for _ in range(2)] == ["ok", "ok"]
    assert server.received == ["EVALSHA", "EVAL", "EVALSHA"]


def test_an_asyncio_client_sends_the_text_once() -> None:
    """The asyncio call does the same as the synchronous one."""
    server = _AsyncServer()

    async def twice() -> list[Any]:
        return [await calls.run_async(server, CALL) for _ in range(2)]

    assert asyncio.run(twice()) == ["ok", "ok"]
    assert server.received == ["EVALSHA", "EVAL", "EVALSHA"]


def test_a_program_sends_the_text_once() -> None:
    """The call inside a program without I/O does the same as the synchronous one."""
    server = _Server()

    def send(*command: Any) -> Generator[str, Any, Any]:
        yield "effect"
        return server.execute_command(*command)

    def twice() -> Generator[str, Any, list[Any]]:
        first = yield from calls.run_program(CALL, send)
        return [first, (yield from calls.run_program(CALL, send))]

    replies: list[Any] = []

    def collected() -> Generator[str, Any, None]:
        replies.extend((yield from twice()))

    assert [*collected()] == ["effect"] * 3
    assert replies == ["ok", "ok"]
    assert server.received == ["EVALSHA", "EVAL", "EVALSHA"]


def test_a_pipeline_sends_the_text_once() -> None:
    """A pipelined call returns all replies in order, also if the script had to be sent again."""
    server = _AsyncServer()

    async def twice() -> list[Any]:
        return [await calls.run_pipelined(server, CALL, ("PING",)) for _ in range(2)]

    assert asyncio.run(twice()) == [["ok", "ok"], ["ok", "ok"]]
    assert server.received == ["EVALSHA", "PING", "EVAL", "EVALSHA", "PING"]
