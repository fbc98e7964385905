"""When a watch looks, told by a clock of the test's own."""

import itertools
import json
from typing import Any

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    ResponseError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.connection.retry import backoff_s, is_transient
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader.effects import Call, Effect, Program, Reset, Scan, Wait
from sanctum_bus.reader.polling import Poller, PollPolicy

KEYS = RunKeys("r")


class World:
    """Carries programs out in a time of its own.

    Args:
        looks: what each look finds, or raises.
        hints: what each wait for a hint brings: after how many seconds, None for never, or what it raises at once.
        hint: what it says.
    """

    def __init__(self, looks: list[Any], hints: list[Any], hint: bytes | str = b"{}") -> None:
        self.now = 100.0
        self.looked: list[float] = []
        self.effects: list[Effect] = []
        self._looks = looks
        self._hints = hints
        self._hint = hint

    def look(self) -> Program[list[str]]:
        """One look."""
        found: list[str] = yield Call(("LOOK",))
        return found

    def watch(
        self, poll_s: float = 1.0, idle_s: float | None = None, place: float | None = None
    ) -> Poller[str]:
        """A watch in this world."""
        return Poller(self.look, KEYS, PollPolicy(poll_s, idle_s, lambda: self.now), place)

    def run(self, program: Program[list[str]]) -> list[str]:
        """Carry a program out."""
        reply: object = None
        try:
            effect = next(program)
            while True:
                self.effects.append(effect)
                reply = self._reply(effect)
                effect = program.throw(reply) if isinstance(reply, Exception) else program.send(reply)
        except StopIteration as end:
            found: list[str] = end.value
            return found

    def _reply(self, effect: Effect) -> object:
        if isinstance(effect, Call | Scan):
            self.looked.append(round(self.now - 100, 3))
            return self._looks.pop(0)
        if isinstance(effect, Reset):
            return None
        hint = self._hints.pop(0) if effect.channel else None
        if isinstance(hint, Exception):
            return hint
        self.now += effect.seconds if hint is None else hint
        return None if hint is None else self._hint

    @property
    def subscribed(self) -> list[bool]:
        """For each wait for a hint, whether it was to subscribe anew."""
        return [effect.resubscribe for effect in self.effects if isinstance(effect, Wait) and effect.channel]


def test_looks_are_hinted_and_at_the_latest_polled() -> None:
    """A hint ends the wait; without one the poll time does."""
    world = World([["a"], ["b"], [], ["c"]], [0.5, None, 0.25])
    watch = world.watch(poll_s=1)

    assert [world.run(watch.next()) for _ in range(3)] == [["a"], ["b"], ["c"]]
    assert world.looked == [0, 0.55, 1.55, 1.85]


def test_hints_that_come_close_together_are_one_look() -> None:
    """However fast commits follow each other, a follower looks at most twenty times a second."""
    world = World([["x"]] * 21, [0.0] * 20)
    watch = world.watch()
    for _ in range(21):
        world.run(watch.next())

    assert world.looked[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("followers", "round_s"), [(50, 0.4), (200, 1.6), (1250, 10), (9000, 10), (10**400, 10)]
)
def test_who_is_one_of_many_looks_in_its_turn(followers: int, round_s: float) -> None:
    """All followers of a run share a number of looks a second; no hint can make one wait longer than ten seconds."""
    world = World([["x"]] * 10, [0.0] * 9, json.dumps({"followers": followers}).encode())
    watch = world.watch(poll_s=2.0)
    for _ in range(10):
        world.run(watch.next())
    gaps = [after - before for before, after in itertools.pairwise(world.looked[1:])]

    assert gaps == pytest.approx([round_s] * 8, abs=0.002)


def test_turns_are_spread_over_the_round() -> None:
    """However long nothing came: at the hint that all hear at once they do not all look at once."""
    looked = []
    for place in (0.0, 0.25, 0.5, 0.75):
        world = World([["x"]] * 2, [0.7], json.dumps({"followers": 200}).encode())
        watch = world.watch(place=place)
        for _ in range(2):
            world.run(watch.next())
        looked.append(world.looked[1])
    gaps = [after - before for before, after in itertools.pairwise(sorted(looked))]

    assert min(looked) >= 0.75
    assert gaps == pytest.approx([0.4] * 3, abs=0.002)


@pytest.mark.parametrize("followers", [1, 3, 6])
def test_a_few_followers_look_at_once(followers: int) -> None:
    """Where the server can answer all of them, nobody waits for a turn."""
    world = World([["x"]] * 3, [0.0] * 2, json.dumps({"followers": followers}).encode())
    watch = world.watch()
    for _ in range(3):
        world.run(watch.next())

    assert world.looked == [0, 0.05, 0.1]


@pytest.mark.parametrize(
    "hint",
    [
        "{}",
        b"",
        b"[" * 100_000,
        b"\xff",
        b"1",
        b"[]",
        b"{}",
        b'{"followers": "x"}',
        b'{"followers": null}',
        b'{"followers": -5}',
        b'{"followers": 1e999}',
    ],
)
def test_a_hint_is_only_a_hint(hint: bytes | str) -> None:
    """Whatever is published on the channel, a follower looks."""
    world = World([["x"]] * 3, [0.0] * 2, hint)
    watch = world.watch()
    for _ in range(3):
        world.run(watch.next())

    assert world.looked == [0, 0.05, 0.1]


def test_a_change_without_its_hint_makes_it_subscribe_anew() -> None:
    """A subscription that missed something may be dead; one that did not is left alone, and asked for once."""
    world = World([["a"], ["b"], [], ["c"], ["d"]], [None, 0.5, None, 0.5])
    watch = world.watch()
    for _ in range(4):
        world.run(watch.next())

    assert world.subscribed == [False, True, False, True]


def test_a_slow_caller_is_served_at_once() -> None:
    """Who comes back after the poll time does not wait for a hint."""
    world = World([["a"], ["b"]], [])
    watch = world.watch(poll_s=1)
    world.run(watch.next())
    world.now += 5

    assert world.run(watch.next()) == ["b"]
    assert world.looked == [0, 5]


def test_a_lost_subscription_is_made_again() -> None:
    """After a lost connection the poll serves once, and the next wait listens again."""
    world = World([["a"], [], ["b"]], [ConnectionLost("gone"), 0.25])
    watch = world.watch(poll_s=1)
    world.run(watch.next())
    world.run(watch.next())

    assert world.looked == [0, 1, 1.3]


def test_a_refused_subscription_is_not_tried_again() -> None:
    """A user who may not subscribe, or a server that cannot, leaves the poll, once a second at least."""
    world = World([["a"], [], [], ["b"]], [NoPermissionError("NOPERM")])
    watch = world.watch(poll_s=60)
    world.run(watch.next())
    world.run(watch.next())

    assert world.looked == pytest.approx([0, 1.05, 2.1, 3.15])


def test_the_end_is_looked_at_before_it_is_believed() -> None:
    """What changed at the last moment is yielded, and begins the count anew."""
    world = World([["a"], ["b"], [], []], [None] * 3)
    watch = world.watch(poll_s=10, idle_s=2)

    assert [world.run(watch.next()) for _ in range(3)] == [["a"], ["b"], []]
    assert world.looked == [0, 2, 4]


def test_trouble_is_waited_for_with_growing_pauses() -> None:
    """Each attempt forgets the idle connections first, and waits longer than the one before."""
    troubles: list[Any] = [ConnectionLost("gone"), TooLate("late"), OSError("refused")] * 2
    world = World([["a"], *troubles, ["b"]], [0.5])
    watch = world.watch()
    world.run(watch.next())

    assert world.run(watch.next()) == ["b"]
    assert [effect for effect in world.effects if isinstance(effect, Reset)] == [Reset()] * 6
    pauses = [effect.seconds for effect in world.effects if isinstance(effect, Wait) and not effect.channel][
        1:
    ]
    assert all(0.025 * 2**n <= pause <= 0.05 * 2**n for n, pause in enumerate(pauses))


def test_pauses_are_bounded_and_spread() -> None:
    """A server that is away for a night is asked for every second or two."""
    assert backoff_s(1, 0.0) == 0.025
    assert backoff_s(10_000, 0.0) == 1.0
    assert backoff_s(10_000, 1.0) == 2.0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionLost("gone"), True),
        (TooLate("late"), True),
        (OSError("refused"), True),
        (BusyLoadingError("loading"), True),
        (MasterDownError("MASTERDOWN"), True),
        (ResponseError("BUSY Redis is busy running a script"), True),
        (AuthenticationError("wrong password"), False),
        (NoPermissionError("NOPERM"), False),
        (ResponseError("WRONGTYPE"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_what_passes(error: Exception, expected: bool) -> None:  # noqa: FBT001  # a table's column
    """A server that is away, starting or failing over comes back; a wrong password does not become right."""
    assert is_transient(error) is expected


def test_the_first_look_fails_as_a_call_does() -> None:
    """Nothing is waited for before anything was seen."""
    world = World([ConnectionLost("gone")], [])

    with pytest.raises(ConnectionLost):
        world.run(world.watch().next())
    assert len(world.effects) == 1
