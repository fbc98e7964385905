"""The driver of the view: looks at a run again and again, draws it, and listens to the keyboard.

It looks for itself instead of following hints: a look that finds nothing new is one small round trip.
"""

import logging
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from redis.exceptions import RedisError
from rich.console import Console
from rich.live import Live

from sanctum_bus.errors import Unavailable, UnknownRun
from sanctum_bus.reader import LogLine, Reader, Snapshot
from sanctum_bus.views.format import printable
from sanctum_bus.views.model import Run, sort_out
from sanctum_bus.views.tui.layout import pages, view
from sanctum_bus.views.tui.view import View

#: Seconds between two pictures.
_TICK_S = 0.2

#: Log lines that a picture may need: those of a high terminal.
_LINES = 200

#: Seconds for which a worker must have been behind until the view says so.
_PATIENCE_S = 2.0

#: Seconds for which a warning of the library is shown.
_SHOWN_S = 10.0

#: What the keys do, as the last line says it.
HELP = "q quit"
_PAGES, _ARMS = "n/p page", "g arm"


@dataclass(slots=True)
class Looking:
    """What was seen last, and what the person wants to see of it.

    Args:
        reader: where it is looked.
        run_id: the run.
        picture: makes the view of a snapshot, the log's newest lines, and the sections sorted out.
        patient: a run that is not there yet is waited for.
    """

    reader: Reader
    run_id: str
    picture: Callable[[Snapshot, Sequence[LogLine], Run], View]
    patient: bool = False
    snapshot: Snapshot | None = None
    run: Run | None = None
    lines: Sequence[LogLine] = ()
    trouble: str = ""
    page: int = 0
    arm: int = 0
    quit: bool = False
    current_at: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Look again; what is wrong with the server is shown, and the last view stays.

        Raises:
            UnknownRun: there is no such run.
            NotNow: a key of the run had the wrong type the first time.
            RedisError: the server could not be asked the first time.
        """
        try:
            self._take(self.reader.snapshot(self.run_id, since=self.snapshot))
        except UnknownRun:
            if self.snapshot is None and not self.patient:
                raise
            self.trouble = "the run is gone" if self.snapshot else "waiting for the run"
        except RedisError as error:
            if self.snapshot is None:
                raise
            self.trouble = f"the server does not answer: {printable(error, 80)}"
        except Unavailable as error:
            if self.snapshot is None:
                raise
            self.trouble = printable(error)

    def _take(self, fresh: Snapshot) -> None:
        last = self.snapshot
        is_another = last is None or (last.version, last.generation) != (fresh.version, fresh.generation)
        # First what may fail: a view whose lines are not there is taken as a whole the next time.
        if is_another:
            self.lines = self.reader.log(self.run_id, newest=_LINES)
        self.snapshot = fresh if last is None else fresh.over(last)
        self.trouble = ""
        if fresh.is_current:
            self.current_at = time.monotonic()
        if is_another:
            self.run = sort_out(self.snapshot.sections)

    def press(self, key: str) -> None:
        """Do what a key stands for."""
        if key in {"q", "Q"}:
            self.quit = True
        elif key in {"n", " "}:
            self.page += 1
        elif key == "p":
            self.page -= 1
        elif key == "g":
            self.arm += 1

    def view(self) -> View | None:
        """Return what is to be drawn, None where nothing was seen yet."""
        if self.snapshot is None or self.run is None:
            return None
        seen = self.picture(self.snapshot, self.lines, self.run)
        arms = seen.run.arms
        notices = (*((self.trouble,) if self.trouble else ()), *seen.notices)
        # After a pause the first event is late for the blink of an eye; that is no reason to flicker.
        behind_s = seen.behind_s if time.monotonic() - self.current_at > _PATIENCE_S else 0.0
        arm = arms[self.arm % len(arms)]
        return replace(seen, page=self.page, arm=arm, notices=notices, behind_s=behind_s)


def watch(looking: Looking, console: Console, until: Callable[[Looking], bool]) -> None:
    """Draw a run on the whole terminal until the person quits or a condition holds."""
    with (
        warnings() as warned,
        keyboard() as pressed,
        Live(console=console, screen=True, auto_refresh=False, transient=True) as live,
    ):
        while not looking.quit:
            looking.look()
            shown = looking.view()
            if shown is not None:
                width, height = console.size
                shown = replace(shown, notices=(*shown.notices, *warned()))
                live.update(view(shown, width, height, _help(shown, width, height)), refresh=True)
            if until(looking):
                return
            for key in pressed(_TICK_S):
                looking.press(key)


def _help(shown: View, width: int, height: int) -> str:
    keys = [HELP]
    if pages(shown.run.envs, width, height) > 1:
        keys.insert(0, _PAGES)
    if len(shown.run.arms) > 1:
        keys.insert(0, _ARMS)
    return "  ".join(keys)


@contextmanager
def keyboard() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits so many seconds for keys and returns them, without Enter and without echo."""
    if not sys.stdin.isatty():
        yield _no_keys
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(timeout_s: float) -> str:
        ready, _, _ = select.select([terminal], [], [], timeout_s)
        return os.read(terminal, 64).decode("ascii", "ignore") if ready else ""

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _no_keys(timeout_s: float) -> str:
    time.sleep(timeout_s)
    return ""


@contextmanager
def warnings() -> Iterator[Callable[[], tuple[str, ...]]]:
    """Keep the library's warnings off the screen; yield a function that returns the last one while it is new."""
    handler = _Keeping()
    logger = logging.getLogger("sanctum_bus")
    logger.addHandler(handler)
    try:
        yield handler.recent
    finally:
        logger.removeHandler(handler)


class _Keeping(logging.Handler):
    """Keeps the last record."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._last = record

    def recent(self) -> tuple[str, ...]:
        """Return the last warning, if it is not old."""
        last = self._last
        if last is None or time.time() - last.created > _SHOWN_S:
            return ()
        return (printable(last.getMessage(), 100),)
