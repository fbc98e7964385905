"""`demo` and `watch`: the whole way at once, on a terminal and without one."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from sanctum_bus.cli.demo.summary import Summary
from sanctum_bus.protocol.coverage import FieldCoverage, TypeCoverage
from sanctum_bus.publisher import PublisherStats
from sanctum_bus.reader import Snapshot
from tests.support.commands import DEADLINE_S, SMALL, Run, environment, sanctum
from tests.support.servers import VALKEY_9, require
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

GOOD = Summary(
    PublisherStats(2, 2, 0, 0, 0, 0, 0, None), Snapshot("demo", events=2), [TypeCoverage("T", 2)], [], 1.0
)


@pytest.fixture(name="terminal")
def _terminal() -> Iterator[Callable[..., Terminal]]:
    """Start commands on terminals that go with the test."""
    require(VALKEY_9)
    terminals: list[Terminal] = []

    def start(*args: str, url: str | None = None) -> Terminal:
        terminals.append(Terminal(*args, env=environment(url)))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def test_once() -> None:
    """`--once` plays the recording as fast as possible, needs no terminal, and prints a summary."""
    require(VALKEY_9)
    ran = sanctum("demo", "--once")

    assert ran.status == 0, ran.err
    assert "1,723 events published, 1,723 folded" in ran.out
    assert "parked 0, lost 0, duplicates 0" in ran.out
    assert "captured, gap 0" in ran.out
    assert "seeds: 92 germinated, 2 fossilized, 72 culled" in ran.out
    assert "run ended" in ran.out.splitlines()[-1]


def test_once_at_a_pace() -> None:
    """A requested pace also applies without a live view: a minute of training takes that fraction of a minute."""
    require(VALKEY_9)
    ran = sanctum("demo", "--once", "--speed", "60")

    assert ran.status == 0, ran.err
    assert float(ran.out.splitlines()[0].split()[-2]) >= 1.0


def test_nothing_is_left(tmp_path: object) -> None:
    """The demo leaves no file behind."""
    require(VALKEY_9)
    home = f"{tmp_path}/t"
    os.mkdir(home)  # noqa: PTH102  # the path is text for the variable

    assert sanctum("demo", "--once", env={"TMPDIR": home}).status == 0
    assert os.listdir(home) == []  # noqa: PTH208  # the path is text here too


def test_the_live_view(terminal: Callable[..., Terminal]) -> None:
    """On a terminal the run is drawn while it plays; at the end the last picture stays, with the next steps."""
    shown = terminal("demo", "--speed", "50")

    status = shown.end()

    assert status == 0, shown.screen[-2000:]
    assert "1,723 events published, 1,723 folded, 0 parked, 0 lost, coverage gap 0" in shown.screen
    last = shown.screen.rpartition("\x1b[?1049l")[2]
    assert "4 environments" in last
    assert "sanctum demo --keep" in last


@pytest.mark.parametrize("leave", [Terminal.press_q, Terminal.interrupt], ids=["q", "Ctrl-C"])
def test_leaving_the_demo(terminal: Callable[..., Terminal], leave: Callable[[Terminal], None]) -> None:
    """`q` and Ctrl-C end the demo at any time: status 0, no traceback, the terminal as it was."""
    shown = terminal("demo", "--speed", "1")
    wait_until(lambda: shown.shows("environments"), "the run is drawn", DEADLINE_S)

    leave(shown)

    assert shown.end() == 0
    assert "stopped" in shown.screen
    assert "Traceback" not in shown.screen


def test_keeping_the_server(terminal: Callable[..., Terminal]) -> None:
    """With `--keep` the run can be looked at until Ctrl-C."""
    shown = terminal("demo", "--speed", "max", "--keep")
    wait_until(lambda: shown.shows("sanctum watch demo"), "the next steps are shown", DEADLINE_S)
    url = shown.screen.partition("SANCTUM_REDIS_URL='")[2].partition("'")[0]

    assert sanctum("runs", "--json", url=url).json["state"] == "ended"
    shown.interrupt()
    assert shown.end() == 0


def test_watching(run: Run, terminal: Callable[..., Terminal]) -> None:
    """`watch` draws the run that was active last, and leaves its picture behind."""
    run.play(SMALL[0].path)
    shown = terminal("watch", url=run.url)
    wait_until(lambda: shown.shows("environments"), "the run is drawn", DEADLINE_S)

    shown.process.send_signal(signal.SIGTERM)

    assert shown.end() == 0
    assert "Seed event log" in shown.screen.rpartition("\x1b[?1049l")[2]


def test_watching_without_a_terminal(run: Run) -> None:
    """Without a terminal, `watch` fails with a message that names the alternative."""
    ran = run.sanctum("watch", "r")

    assert ran.status == 1
    assert ran.err == "sanctum: sanctum watch requires a terminal; use 'sanctum show RUN'\n"


@pytest.mark.parametrize(
    ("summary", "word"),
    [
        (GOOD, ""),
        (replace(GOOD, stats=replace(GOOD.stats, dropped=1)), "1 dropped"),
        (replace(GOOD, stats=replace(GOOD.stats, buffered=3)), "3 not sent"),
        (replace(GOOD, snapshot=Snapshot("demo", events=1)), "2 events published and 1 folded"),
        (replace(GOOD, snapshot=Snapshot("demo", events=2, parked=4)), "4 parked"),
        (replace(GOOD, snapshot=Snapshot("demo", events=2, lost={"gap": 5})), "5 lost"),
        (
            replace(GOOD, coverage=[TypeCoverage("T", 2, {"a": FieldCoverage("a", 2, 1)})]),
            "1 fields not captured",
        ),
    ],
)
def test_what_is_wrong_is_said(summary: Summary, word: str) -> None:
    """The demo fails when anything that was published is not there."""
    assert summary.wrong() == word
