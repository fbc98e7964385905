"""`worker`: processes runs in the foreground until it is interrupted."""

import asyncio
import gc
import time
from dataclasses import replace
from typing import Annotated

import structlog
import typer
from redis.exceptions import RedisError

from sanctum_bus.cli import target
from sanctum_bus.cli.options import (
    requires,
)
from sanctum_bus.cli.signals import INTERRUPTED, stop_on_signal, until_signal
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import connect
from sanctum_bus.ops.embedded import default_state_dir, running_server
from sanctum_bus.worker import logs
from sanctum_bus.worker.settings import Settings, load
from sanctum_bus.worker.supervisor import Worker

#: Examples at the end of the help.
EXAMPLES = ("sanctum worker", "sanctum worker --drain --run my-run")


def command(
    ctx: typer.Context,
    drain: Annotated[bool, typer.Option("--drain", help="Process all current entries, then exit.")] = False,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="RUN",
            show_default=False,
            help="With --drain: only this run. Repeatable.",
        ),
    ] = None,
) -> None:
    """Process all current and future runs until interrupted."""
    requires("--run", "--drain", given=run, present=drain)
    work(target.of(ctx), run or [], drain=drain)


#: Seconds between two searches for a server.
_LOOK_S = 0.3

#: New objects after which Python searches for reference cycles.
_OBJECTS = 4_000

_log = structlog.get_logger()


def work(server: ServerTarget, runs: list[str], *, drain: bool) -> None:
    """Process runs until interrupted, or with `drain` only what the streams hold now.

    Raises:
        ConfigurationError: a setting or the server is wrong.
        InvalidArgument: a run in `runs` does not exist.
        CommandFailed: the server is unavailable (with `drain`; without it the worker waits).
        SystemExit: a signal stopped a drain before it was complete.
    """
    settings = load(key_prefix=server.prefix)
    logs.configure(settings.log_level)
    if not drain and not server.chosen:
        found = _await_server(server)
        if found is None:
            return
        server = found
    settings = load(redis_url=server.url, key_prefix=server.prefix)
    _search_less_for_garbage()
    with server.explain_errors():
        through = asyncio.run(_work(settings, frozenset(runs), drain=drain))
    if not through:
        from sanctum_bus.cli.output import complain

        complain("interrupted before everything was folded; what was folded is committed")
        raise SystemExit(INTERRUPTED)


def _search_less_for_garbage() -> None:
    """Exclude loaded objects from the search for reference cycles, and search less often: a fold creates no cycles."""
    gc.freeze()
    gc.set_threshold(_OBJECTS)


async def _work(settings: Settings, runs: frozenset[str], *, drain: bool) -> bool:
    """Return whether everything was processed: a signal may stop a drain early."""
    worker = Worker(settings)
    with stop_on_signal(worker.stop) as stopped:
        if drain:
            await worker.drain(runs)
            return not stopped()
        await worker.run()
    return True


def _await_server(server: ServerTarget) -> ServerTarget | None:
    """Return the first server that appears: the embedded one, which may be starting now, or the default one."""
    said = False
    found: ServerTarget | None = None
    with until_signal():
        while found is None:
            running = running_server()
            if running is not None:
                found = replace(server, url=running, chosen=True)
            elif _answers(server.url):
                found = server
            else:
                if not said:
                    _log.warning("redis not found", url=server.url, embedded=str(default_state_dir()))
                said = True
                time.sleep(_LOOK_S)
    return found


def _answers(url: str) -> bool:
    try:
        with connect(url, timeout_s=1.0) as client:
            return bool(client.ping())
    except RedisError:
        return False
