"""Confirmation before data is deleted: without a yes, nothing is deleted, and the message reports it."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.commands import DEADLINE_S, Run, environment
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

#: Commands that ask, with what they say where nothing is done.
ASKING = [
    (["rm", "r"], "sanctum: run r was not removed"),
    (["rebuild", "r"], "sanctum: run r was not rebuilt"),
    (["dead-letters", "r", "--delete", "all"], "sanctum: no dead letter of run r was deleted"),
]


@pytest.fixture(name="asked")
def _asked(run: Run) -> Iterator[Callable[[list[str]], Terminal]]:
    """Start commands that have asked their question."""
    run.publish({"event_type": "OTHER", "data": {}})
    terminals: list[Terminal] = []

    def start(args: list[str]) -> Terminal:
        terminals.append(Terminal(*args, env=environment(run.url)))
        wait_until(lambda: terminals[-1].shows("[y/N]: "), "the question is shown", DEADLINE_S)
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


@pytest.mark.parametrize(("args", "said"), ASKING)
def test_ctrl_c_at_a_question(
    run: Run, asked: Callable[[list[str]], Terminal], args: list[str], said: str
) -> None:
    """Ctrl-C at a question exits with status 130 and a message that nothing was done."""
    shown = asked(args)
    version = run.good("show", run.id, "--json").json["version"]

    shown.interrupt()

    assert shown.end() == 130
    assert shown.screen.splitlines()[-1] == said
    assert run.good("show", run.id, "--json").json["version"] == version


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\xff\n", b"\x04"], ids=["no", "nothing", "other", "end"])
def test_no(asked: Callable[[list[str]], Terminal], answer: bytes) -> None:
    """Any answer but yes is a no: status 1 and a message that nothing was done."""
    args, said = ASKING[0]
    shown = asked(args)

    shown.type(answer)

    assert shown.end() == 1
    assert shown.screen.splitlines()[-1] == said


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n"])
def test_yes(run: Run, asked: Callable[[list[str]], Terminal], answer: bytes) -> None:
    """A yes counts in upper and lower case."""
    shown = asked(["rm", "r"])

    shown.type(answer)

    assert shown.end() == 0
    assert run.good("runs", "--json").out == ""
