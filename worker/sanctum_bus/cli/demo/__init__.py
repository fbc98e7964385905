"""`demo`: a real recording through a server, a publisher and a worker, all started here and gone afterwards."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from sanctum_bus.cli.demo.play import RUN, DemoPublisher
from sanctum_bus.cli.demo.summary import Summary
from sanctum_bus.cli.options import DemoSpeedOption, speed_of
from sanctum_bus.cli.output import console, show
from sanctum_bus.cli.signals import INTERRUPTED, until_told
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.cli.watch import leave, picture
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops.embedded import EmbeddedServer
from sanctum_bus.ops.embedded.process import end, launch
from sanctum_bus.reader import Reader
from sanctum_bus.views.tui.app import Looking, watch

#: Examples at the end of the help.
EXAMPLES = ("sanctum demo", "sanctum demo --once", "sanctum demo --speed 1 --keep")


def command(
    speed: DemoSpeedOption = None,
    once: Annotated[bool, typer.Option("--once", help="Without a picture; ends with a summary.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server running at the end, until Ctrl-C.")
    ] = False,
) -> None:
    """Play a recording on an embedded server and show the run live."""
    demo(speed, once=once, keep=keep)


#: The pace of the picture: a minute of training in fifteen seconds.
_SPEED = "4"

#: Seconds that the worker has to fold the rest once everything is published.
_PATIENCE_S = 60.0

#: Seconds between two looks where nobody is watching.
_LOOK_S = 0.02


@dataclass
class _Play:
    """One showing: what is published, by what it is folded, and what is seen of it."""

    server: EmbeddedServer
    worker: "subprocess.Popen[bytes]"
    feeding: DemoPublisher
    reader: Reader
    published_at: float | None = None

    def run(self, *, live: bool) -> Looking:
        """Publish and watch until everything is folded, or the person quits."""
        looking = Looking(self.reader, RUN, picture, patient=True)
        self.feeding.start()
        try:
            if live:
                watch(looking, console(), self.is_over)
            else:
                looking.look()
                while not self.is_over(looking):
                    time.sleep(_LOOK_S)
                    looking.look()
        finally:
            self.feeding.stop()
        return looking

    def is_over(self, looking: Looking) -> bool:
        """Whether everything is published and folded.

        Raises:
            SanctumError: publishing failed.
            Failed: the worker ended, or does not get on.
        """
        if self.worker.poll() is not None:
            raise CommandFailed(
                f"the worker ended with status {self.worker.returncode}; its last words: {self._last_words()}"
            )
        if self.feeding.check() is None:
            return False
        self.published_at = self.published_at or time.monotonic()
        if time.monotonic() - self.published_at > _PATIENCE_S:
            raise CommandFailed(f"the worker folds nothing; its last words: {self._last_words()}")
        seen = looking.snapshot
        return seen is not None and seen.is_current and seen.sections.get("run", {}).get("status") == "ended"

    def _last_words(self) -> str:
        log = self.server.state_dir / "worker.log"
        return " | ".join(log.read_text(errors="replace").splitlines()[-3:]) or "none"


def demo(speed: str | None, *, once: bool, keep: bool) -> None:
    """Play the recording and show the run live; or, without a terminal, once and with a summary at the end.

    Args:
        speed: as on the command line; None: what suits a picture, or where there is none as fast as it goes.
        once: without a picture, whatever there is to draw on.
        keep: the server stays until it is told to stop.

    Raises:
        BadParameter: the speed is none.
        Failed: what was published is not what was folded.
        NoServer: no server can be started.
    """
    live, finished = console().is_terminal and not once, False
    pace = speed_of(speed or (_SPEED if live else "max"))
    with until_told(), EmbeddedServer.start() as server:
        target = ServerTarget(server.url)
        with _worker(target, server) as worker, target.reader() as reader:
            began = time.monotonic()
            play = _Play(server, worker, DemoPublisher(target, pace), reader)
            looking = play.run(live=live)
            finished = not looking.quit
            if finished:
                _finish(play, looking, time.monotonic() - began, live=live)
                if keep:
                    _keep(server)
    if not finished:
        show(Text("stopped"))
        if not live:
            raise SystemExit(INTERRUPTED)
    elif live and not keep:
        _say_what_next()


@contextmanager
def _worker(target: ServerTarget, server: EmbeddedServer) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker as a process of its own, its log in a file; it ends with this process, however that ends."""
    options = ["--redis", target.url, "--prefix", target.prefix, "worker"]
    # -P: what lies in the current directory must not stand in for the standard library.
    command = [sys.executable, "-P", "-m", "sanctum_bus.cli", *options]
    process = launch(command, server.state_dir / "worker.log")
    try:
        yield process
    finally:
        end(process)


def _finish(play: _Play, looking: Looking, seconds: float, *, live: bool) -> None:
    """Leave the picture or print the summary, and say whether all is well.

    Raises:
        Failed: it is not.
    """
    summary = Summary.of(play.reader, play.feeding, seconds)
    if live:
        leave(looking)
        show(summary.line())
    else:
        show(*summary.lines())
    wrong = summary.wrong()
    if wrong:
        raise CommandFailed(f"the demo's run is not what was published: {wrong}")


def _keep(server: EmbeddedServer) -> None:
    show(Text("The server stays until Ctrl-C. In another terminal:"))
    show(Text(f"  export SANCTUM_REDIS_URL='{server.url}'"))
    for command in ("show demo", "show demo policy", "log demo", "coverage demo --fields", "watch demo"):
        show(Text(f"  sanctum {command}"))
    server.wait()


def _say_what_next() -> None:
    show(Text("All of it is gone now. `sanctum demo --keep` leaves the server running, to look around:"))
    show(Text("  sanctum show demo · sanctum log demo · sanctum coverage demo --fields · sanctum watch demo"))
    show(Text("For your own runs: sanctum server, sanctum worker, and Publisher in the training script."))
