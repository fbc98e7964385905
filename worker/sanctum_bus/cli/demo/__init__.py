"""`demo`: plays a real recording through a server, a publisher and a worker, all of which end with the command."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.text import Text

from sanctum_bus.cli.demo.play import RUN, DemoPublisher
from sanctum_bus.cli.demo.summary import Summary
from sanctum_bus.cli.options import DemoSpeedOption, speed_of
from sanctum_bus.cli.output import console, show
from sanctum_bus.cli.signals import INTERRUPTED, stop_on_signal, until_signal
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.cli.watch import print_last
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops.embedded import EmbeddedServer
from sanctum_bus.ops.embedded.process import end, launch
from sanctum_bus.reader import AsyncReader, Reader
from sanctum_bus.views.feed import INTERVAL_S, RunFeed
from sanctum_bus.views.model import RunView
from sanctum_bus.views.tui import app
from sanctum_bus.views.tui.app import ViewState

#: Examples at the end of the help.
EXAMPLES = ("sanctum demo", "sanctum demo --once", "sanctum demo --speed 1 --keep")


def command(
    speed: DemoSpeedOption = None,
    once: Annotated[bool, typer.Option("--once", help="Print a summary instead of the live view.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server running at the end, until Ctrl-C.")
    ] = False,
) -> None:
    """Play a recording on an embedded server and show the run live."""
    demo(speed, once=once, keep=keep)


#: The pace of the live view: a minute of training in fifteen seconds.
_SPEED = "4"

#: Seconds for the worker to fold the rest after everything is published.
_PATIENCE_S = 60.0

#: Seconds between two reads without a live view.
_POLL_S = 0.02


@dataclass
class _Play:
    """One showing: the server, the worker that folds, and the publisher of the recording."""

    server: EmbeddedServer
    worker: "subprocess.Popen[bytes]"
    publisher: DemoPublisher
    state: ViewState = field(default_factory=ViewState)
    published_at: float | None = None

    async def run(self, target: ServerTarget, *, live: bool) -> RunFeed:
        """Publish and watch until everything is folded, or the person quits."""
        async with AsyncReader(target.url, key_prefix=target.prefix) as reader:
            feed = RunFeed(reader, RUN, wait_for_run=True, interval_s=INTERVAL_S if live else _POLL_S)
            self.publisher.start()
            try:
                with stop_on_signal(lambda: app.leave(feed, self.state)):
                    async with feed.running():
                        await self._watch(feed, live=live)
            finally:
                self.publisher.stop()
        return feed

    async def _watch(self, feed: RunFeed, *, live: bool) -> None:
        if live:
            await app.watch(feed, console(), self.is_over, self.state)
            return
        with feed.watcher() as changed:
            while not (self.state.quit or self.is_over(feed.view)):
                await changed.wait()
                changed.clear()

    def is_over(self, view: RunView | None) -> bool:
        """Return whether everything is published and folded.

        Raises:
            SanctumError: publishing failed.
            CommandFailed: the worker ended, or makes no progress.
        """
        if self.worker.poll() is not None:
            raise CommandFailed(
                f"the worker exited with status {self.worker.returncode}; last log lines: {self._log_tail()}"
            )
        if self.publisher.check() is None:
            return False
        self.published_at = self.published_at or time.monotonic()
        if time.monotonic() - self.published_at > _PATIENCE_S:
            raise CommandFailed(f"the worker makes no progress; last log lines: {self._log_tail()}")
        return view is not None and view.header.status == "ended" and view.header.is_current

    def _log_tail(self) -> str:
        log = self.server.state_dir / "worker.log"
        return " | ".join(log.read_text(errors="replace").splitlines()[-3:]) or "none"


def demo(speed: str | None, *, once: bool, keep: bool) -> None:
    """Play the recording and show the run live, or without a terminal print a summary at the end.

    Args:
        speed: as on the command line; None: a pace that suits the screen, or without one as fast as possible.
        once: print the summary even on a terminal.
        keep: leave the server running until Ctrl-C.

    Raises:
        BadParameter: the speed is invalid.
        CommandFailed: the folded run differs from the published recording.
        ServerNotFound: no server can be started.
    """
    live, finished = console().is_terminal and not once, False
    pace = speed_of(speed or (_SPEED if live else "max"))
    with until_signal(), EmbeddedServer.start() as server:
        target = ServerTarget(server.url)
        with _worker(target, server) as worker, target.reader() as reader:
            began = time.monotonic()
            play = _Play(server, worker, DemoPublisher(target, pace))
            feed = asyncio.run(play.run(target, live=live))
            finished = not play.state.quit
            if finished:
                _finish(play, feed, reader, time.monotonic() - began, live=live)
                if keep:
                    _keep(server)
    if not finished:
        show(Text("stopped"))
        if not live:
            raise SystemExit(INTERRUPTED)
    elif live and not keep:
        _print_next_steps()


@contextmanager
def _worker(target: ServerTarget, server: EmbeddedServer) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker as a separate process with its log in a file; it ends with this process in any case."""
    options = ["--redis", target.url, "--prefix", target.prefix, "worker"]
    # -P: a file in the current directory must not shadow the standard library.
    command = [sys.executable, "-P", "-m", "sanctum_bus.cli", *options]
    process = launch(command, server.state_dir / "worker.log")
    try:
        yield process
    finally:
        end(process)


def _finish(play: _Play, feed: RunFeed, reader: Reader, seconds: float, *, live: bool) -> None:
    """Leave the picture or print the summary.

    Raises:
        CommandFailed: the folded run differs from the published recording.
    """
    summary = Summary.of(reader, play.publisher, seconds)
    if live:
        print_last(feed, play.state)
        show(summary.line())
    else:
        show(*summary.lines())
    wrong = summary.wrong()
    if wrong:
        raise CommandFailed(f"the folded run differs from the published recording: {wrong}")


def _keep(server: EmbeddedServer) -> None:
    show(Text("The server keeps running until Ctrl-C. In another terminal:"))
    show(Text(f"  export SANCTUM_REDIS_URL='{server.url}'"))
    for command in ("show demo", "show demo policy", "log demo", "coverage demo --fields", "watch demo"):
        show(Text(f"  sanctum {command}"))
    server.wait()


def _print_next_steps() -> None:
    show(
        Text(
            "The demo's data is deleted now. `sanctum demo --keep` leaves the server running, to look around:"
        )
    )
    show(Text("  sanctum show demo · sanctum log demo · sanctum coverage demo --fields · sanctum watch demo"))
    show(Text("For your own runs: sanctum server, sanctum worker, and Publisher in the training script."))
