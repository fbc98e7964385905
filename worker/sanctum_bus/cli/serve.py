"""`server` and `worker`: what runs in the foreground until it is told to stop."""

import asyncio
import gc
import sys
import time
from dataclasses import replace
from pathlib import Path

import structlog
from redis.exceptions import RedisError

from sanctum_bus.cli.signals import INTERRUPTED, until_told
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.cli.worker_signals import signals
from sanctum_bus.connection import connect
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops.embedded import EmbeddedServer, default_state_dir, running_server
from sanctum_bus.worker import logs
from sanctum_bus.worker.settings import Settings, load
from sanctum_bus.worker.supervisor import Worker

#: Seconds between two looks for a server.
_LOOK_S = 0.3

#: Objects that a worker makes, beyond those that went, until it searches for cycles among them.
_OBJECTS = 4_000

_log = structlog.get_logger()


def serve(state_dir: Path | None, port: int) -> None:
    """Run the embedded server until told to stop.

    Raises:
        NoServer: it cannot be started.
        Failed: it ended by itself.
    """
    # What prints takes long to load, and a worker prints nothing.
    from sanctum_bus.cli.output import complain

    home = default_state_dir() if state_dir is None else state_dir
    status: int | None = None
    with until_told(), EmbeddedServer.start(home, port=port) as server:
        _say_where(server, default=state_dir is None)
        status = server.wait()
    if status is not None:
        raise CommandFailed(
            f"the server ended by itself with status {status}; its last words are in {home / 'server.log'}"
        )
    complain("the server has stopped")


def _say_where(server: EmbeddedServer, *, default: bool) -> None:
    from sanctum_bus.cli.output import console

    out = console()
    out.print(f"serving at {server.url}", soft_wrap=True)
    out.print(f"data in    {server.state_dir}", soft_wrap=True)
    if default:
        out.print("Other sanctum commands of this user find it by themselves. For everything else:")
    out.print(f"  export SANCTUM_REDIS_URL='{server.url}'", soft_wrap=True)
    out.print("Stop with Ctrl-C; the data stays.")
    sys.stdout.flush()


def work(place: ServerTarget, runs: list[str], *, drain: bool) -> None:
    """Fold runs until told to stop, or with `drain` what is there now.

    Raises:
        ConfigurationError: a setting or the server is wrong.
        BadInput: a run that was asked for does not exist.
        Failed: the server cannot be asked (with `drain`; else the worker waits for it).
        SystemExit: it was told to stop before it had drained them.
    """
    settings = load(key_prefix=place.prefix)
    logs.configure(settings.log_level)
    if not drain and not place.chosen:
        found = _await_server(place)
        if found is None:
            return
        place = found
    settings = load(redis_url=place.url, key_prefix=place.prefix)
    _search_less_for_garbage()
    with place.asking():
        through = asyncio.run(_work(settings, frozenset(runs), drain=drain))
    if not through:
        from sanctum_bus.cli.output import complain

        complain("stopped before everything was folded; what was folded is committed")
        raise SystemExit(INTERRUPTED)


def _search_less_for_garbage() -> None:
    """Leave what was loaded out of the search for cycles, and search less often: a fold makes no cycles."""
    gc.freeze()
    gc.set_threshold(_OBJECTS)


async def _work(settings: Settings, runs: frozenset[str], *, drain: bool) -> bool:
    """Return whether all is done that was to be: a drain may be told to stop before it is through."""
    worker = Worker(settings)
    with signals(worker) as told:
        if drain:
            await worker.drain(runs)
            return not told()
        await worker.follow()
    return True


def _await_server(place: ServerTarget) -> ServerTarget | None:
    """Return the first server that shows up: the embedded one, which may be starting just now, or the default one."""
    said = False
    found: ServerTarget | None = None
    with until_told():
        while found is None:
            running = running_server()
            if running is not None:
                found = replace(place, url=running, chosen=True)
            elif _answers(place.url):
                found = place
            else:
                if not said:
                    _log.warning("redis not found", url=place.url, embedded=str(default_state_dir()))
                said = True
                time.sleep(_LOOK_S)
    return found


def _answers(url: str) -> bool:
    try:
        with connect(url, timeout_s=1.0) as client:
            return bool(client.ping())
    except RedisError:
        return False
