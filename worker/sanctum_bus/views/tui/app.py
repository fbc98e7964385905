"""The terminal application: draws a run again and again, and reacts to keys."""

import asyncio
import logging
import os
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live

from sanctum_bus.views.feed import RunFeed
from sanctum_bus.views.format import printable
from sanctum_bus.views.model import RunView
from sanctum_bus.views.tui.layout import draw, pages
from sanctum_bus.views.tui.screen import Screen

#: Seconds for which a warning of the library is shown.
_SHOWN_S = 10.0

#: Help for the keys, in the last line.
HELP = "q quit"
_PAGES, _ARMS = "n/p page", "g arm"


@dataclass(slots=True)
class ViewState:
    """The choices of the person at the terminal.

    Attributes:
        quit: the person wants to leave.
    """

    page: int = 0
    arm: int = 0
    quit: bool = False

    def handle_key(self, key: str) -> None:
        """Apply one key."""
        if key in {"q", "Q"}:
            self.quit = True
        elif key in {"n", " "}:
            self.page += 1
        elif key == "p":
            self.page -= 1
        elif key == "g":
            self.arm += 1


async def watch(
    feed: RunFeed, console: Console, is_over: Callable[[RunView | None], bool], state: ViewState
) -> None:
    """Draw a run on the whole terminal until `state.quit` is set or a condition holds.

    Args:
        feed: a running feed.
        console: the terminal.
        is_over: whether to stop, asked with the latest view after each read.
        state: the choices of the person; keys change it.
    """
    with (
        recent_warnings() as warnings,
        feed.watcher() as changed,
        keyboard(state, changed),
        Live(console=console, screen=True, auto_refresh=False, transient=True) as live,
    ):
        while not state.quit:
            if feed.view is not None:
                width, height = console.size
                screen = Screen(feed.view, state.arm, state.page, warnings())
                live.update(draw(screen, width, height, _help(screen, width, height)), refresh=True)
            if is_over(feed.view):
                break
            await changed.wait()
            changed.clear()


def leave(feed: RunFeed, state: ViewState) -> None:
    """Make `watch` return."""
    state.quit = True
    feed.wake()


def _help(screen: Screen, width: int, height: int) -> str:
    keys = [HELP]
    if pages(screen.run.envs, width, height) > 1:
        keys.insert(0, _PAGES)
    if len(screen.run.arms) > 1:
        keys.insert(0, _ARMS)
    return "  ".join(keys)


@contextmanager
def keyboard(state: ViewState, changed: asyncio.Event) -> Iterator[None]:
    """Apply keys to a state when they are pressed, without Enter and without echo."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()

    def on_keys() -> None:
        for key in os.read(terminal, 64).decode("ascii", "ignore"):
            state.handle_key(key)
        changed.set()

    try:
        tty.setcbreak(terminal)
        loop.add_reader(terminal, on_keys)
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextmanager
def recent_warnings() -> Iterator[Callable[[], tuple[str, ...]]]:
    """Keep the library's warnings off the screen; yield a function that returns the last one while it is new."""
    handler = _LastRecord()
    logger = logging.getLogger("sanctum_bus")
    logger.addHandler(handler)
    try:
        yield handler.recent
    finally:
        logger.removeHandler(handler)


class _LastRecord(logging.Handler):
    """Keeps the last record."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._last = record

    def recent(self) -> tuple[str, ...]:
        """Return the last warning if it is new."""
        last = self._last
        if last is None or time.time() - last.created > _SHOWN_S:
            return ()
        return (printable(last.getMessage(), 100),)
