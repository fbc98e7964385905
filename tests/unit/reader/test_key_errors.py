"""The keys that the commands of the reader access."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.crc import key_slot

from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import script
from sanctum_bus.reader import queries
from sanctum_bus.reader.effects import Call, Program
from sanctum_bus.reader.queries import Page

KEYS = RunKeys("r")


def asked(program: Program[Any], reply: object) -> list[tuple[str | int, ...]]:
    """Return the commands of a program that receives the same reply each time."""
    calls = []
    try:
        effect = next(program)
        while True:
            assert isinstance(effect, Call)
            calls.append(effect.args)
            effect = program.send(reply)
    except StopIteration:
        return calls


def test_a_view_is_one_command() -> None:
    """Version, sections and counters come from one script, so no commit can come between them."""
    reply = [[b"version", b"1-0"], [], [], b"1-0", b"1", b"1", b"1"]

    (call,) = asked(queries.find_snapshot(KEYS, None), reply)

    assert call[:3] == ("EVALSHA_RO", script("read_snapshot").digest, 6)


def test_a_view_declares_all_keys_of_the_run_and_the_one_that_is_never_there() -> None:
    """A cluster slot in migration refuses the script before its first read."""
    (call,) = asked(
        queries.find_snapshot(KEYS, None), [[b"version", b"1-0"], [], [], b"1-0", b"1", b"1", b"1"]
    )
    names = call[3:9]

    assert names == (KEYS.events, KEYS.checkpoint, KEYS.sections, KEYS.coverage, KEYS.recent, KEYS.none)
    assert {key_slot(str(name).encode()) for name in names} == {key_slot(b"r")}
    assert key_slot(f"{call[9]}env:0".encode()) == key_slot(b"r")


@pytest.mark.parametrize(
    ("program", "reply"),
    [
        (lambda: queries.log(KEYS, Page()), [(b"1-0", {})]),
        (lambda: queries.log(KEYS, Page(newest=1)), [(b"1-0", {})]),
        (lambda: queries.batches(KEYS, Page()), [(b"1-0", {})]),
        (lambda: queries.dead_letters(KEYS, Page()), [(b"1-0", {})]),
        (lambda: queries.coverage(KEYS), {b"TICK": b"1"}),
    ],
)
def test_a_list_is_one_command_on_the_runs_slot(program: Callable[[], Program[Any]], reply: object) -> None:
    """A page costs one command. A second one checks that the run exists only if the page is empty."""
    (call,) = asked(program(), reply)

    assert key_slot(str(call[1]).encode()) == key_slot(b"r")
