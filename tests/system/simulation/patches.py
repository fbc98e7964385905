"""Replaces clock, random numbers and network of the package by those of the simulation."""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha1
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from structlog.contextvars import get_contextvars

from sanctum_bus.events.decode import Event
from sanctum_bus.fold import aggregate
from sanctum_bus.fold.dispatch import fold
from sanctum_bus.fold.log_line import LogFields
from sanctum_bus.fold.state import State
from sanctum_bus.protocol.scripts import Script, calls, script
from sanctum_bus.worker import background, membership, pipeline, retention, run_loop, supervisor
from sanctum_bus.worker.metrics import recorder
from sanctum_bus.worker.run_loop import RunLoop
from tests.system.simulation.network import client_of
from tests.system.simulation.publishers import SPOILS

if TYPE_CHECKING:
    from tests.system.simulation.world import World

#: A change of a script: takes its name and its text, and returns the text.
Edit = Callable[[str, str], str]


def untouched(_name: str, text: str) -> str:
    """Return a script unchanged."""
    return text


def spoiling_fold(state: State, event: Event) -> LogFields | None:
    """Fold an event, but fail half-way if its type is `SPOILS`."""
    if event.type == SPOILS:
        state.edit("spoiled")["half"] = 1
        raise ValueError("the simulation lets this fold fail")
    return fold(state, event)


class _Log:
    """A logger that keeps its lines among the steps."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def __getattr__(self, _level: str) -> Callable[..., None]:
        return self._say

    def _say(self, event: str, **fields: object) -> None:
        kept = {
            name: value
            for name, value in (get_contextvars() | fields).items()
            if name in {"run", "kind", "generation", "version", "error"}
        }
        self._note(f"    {event} {kept or ''}")


def edited(world: "World", edit: Edit) -> Callable[[str], Script]:
    """Return a replacement of `script` that edits the scripts; the world learns their digests."""

    def give(name: str) -> Script:
        real = script(name)
        text = edit(name, real.text)
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        world.names[digest.encode()] = world.names[text.encode()] = name
        return Script(text, digest)

    return give


@contextmanager
def patched(world: "World", edit: Edit = untouched) -> Iterator[None]:
    """Run the package in a world."""

    def new_loop(*arguments: Any, **named: Any) -> RunLoop:
        loop = RunLoop(*arguments, **named)
        return dataclasses.replace(loop, _active_at=world.loop.time())

    def connect(_url: str, *, timeout_s: float, max_connections: int) -> Any:
        return client_of(world.network, timeout_s=timeout_s)

    quiet = logging.getLogger("sanctum_bus.publisher")
    before, quiet.disabled = quiet.disabled, True

    async def passes(_error: BaseException, _url: str) -> None:
        return None

    log = _Log(world.note)
    try:
        with (
            mock.patch.object(run_loop, "time", SimpleNamespace(monotonic=world.loop.time)),
            mock.patch.object(pipeline, "time", SimpleNamespace(monotonic=world.loop.time)),
            mock.patch.object(
                recorder, "time", SimpleNamespace(monotonic=world.loop.time, time=world.loop.time)
            ),
            mock.patch.object(membership, "time", SimpleNamespace(monotonic=world.loop.time)),
            mock.patch.object(run_loop, "random", world.chance),
            mock.patch.object(run_loop, "_log", log),
            mock.patch.object(supervisor, "_log", log),
            mock.patch.object(background, "_log", log),
            mock.patch.object(retention, "_log", log),
            mock.patch.object(supervisor, "connect_async", connect),
            mock.patch.object(supervisor, "permanent_error_async", passes),
            mock.patch.object(supervisor, "RunLoop", new_loop),
            mock.patch.object(supervisor, "catalog", SimpleNamespace(declared=dict)),
            mock.patch.object(supervisor, "secrets", SimpleNamespace(token_hex=world.token_hex)),
            mock.patch.object(calls, "script", edited(world, edit)),
            mock.patch.object(aggregate, "fold", spoiling_fold),
        ):
            yield
    finally:
        quiet.disabled = before
