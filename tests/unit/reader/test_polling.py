"""When a follower reads, by a clock that the test controls."""

import itertools
import json
from dataclasses import replace
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
from sanctum_bus.reader.polling import Poller, PollPolicy, PollState, next_wait

KEYS = RunKeys("r")


class World:
    """Performs the effects of programs, with a simulated clock.

    Args:
        reads: the result of each read, or its error.
        notifications: for each wait for a notification, the seconds until it comes, None if none comes, or an error.
        text: the text of the notifications.
    """

    def __init__(self, reads: list[Any], notifications: list[Any], text: bytes | str = b"{}") -> None:
        self.now = 100.0
        self.read_at: list[float] = []
        self.effects: list[Effect] = []
        self._reads = reads
        self._notifications = notifications
        self._text = text

    def read(self) -> Program[list[str]]:
        """Read once."""
        found: list[str] = yield Call(("READ",))
        return found

    def poller(
        self, poll_s: float = 1.0, idle_s: float | None = None, phase: float | None = None
    ) -> Poller[str]:
        """Return a poller with this clock."""
        return Poller(self.read, KEYS, PollPolicy(poll_s, idle_s, lambda: self.now), phase)

    def run(self, program: Program[list[str]]) -> list[str]:
        """Run a program to its end."""
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
            self.read_at.append(round(self.now - 100, 3))
            return self._reads.pop(0)
        if isinstance(effect, Reset):
            return None
        delay_s = self._notifications.pop(0) if effect.channel else None
        if isinstance(delay_s, Exception):
            return delay_s
        self.now += effect.seconds if delay_s is None else delay_s
        return None if delay_s is None else self._text

    @property
    def subscribed(self) -> list[bool]:
        """For each wait for a notification, whether it replaces the subscription."""
        return [effect.resubscribe for effect in self.effects if isinstance(effect, Wait) and effect.channel]


def test_looks_are_hinted_and_at_the_latest_polled() -> None:
    """A notification ends the wait; without one the poll time does."""
    world = World([["a"], ["b"], [], ["c"]], [0.5, None, 0.25])
    poller = world.poller(poll_s=1)

    assert [world.run(poller.next()) for _ in range(3)] == [["a"], ["b"], ["c"]]
    assert world.read_at == [0, 0.55, 1.55, 1.85]


def test_hints_that_come_close_together_are_one_look() -> None:
    """A follower reads at most twenty times a second, however fast commits follow each other."""
    world = World([["x"]] * 21, [0.0] * 20)
    poller = world.poller()
    for _ in range(21):
        world.run(poller.next())

    assert world.read_at[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("followers", "round_s"), [(50, 0.4), (200, 1.6), (1250, 10), (9000, 10), (10**400, 10)]
)
def test_who_is_one_of_many_looks_in_its_turn(followers: int, round_s: float) -> None:
    """All followers of a run share a rate of reads. No notification makes a follower wait longer than ten seconds."""
    world = World([["x"]] * 10, [0.0] * 9, json.dumps({"followers": followers}).encode())
    poller = world.poller(poll_s=2.0)
    for _ in range(10):
        world.run(poller.next())
    gaps = [after - before for before, after in itertools.pairwise(world.read_at[1:])]

    assert gaps == pytest.approx([round_s] * 8, abs=0.002)


def test_turns_are_spread_over_the_round() -> None:
    """Followers that receive one notification at the same time do not all read at the same time."""
    read_at = []
    for phase in (0.0, 0.25, 0.5, 0.75):
        world = World([["x"]] * 2, [0.7], json.dumps({"followers": 200}).encode())
        poller = world.poller(phase=phase)
        for _ in range(2):
            world.run(poller.next())
        read_at.append(world.read_at[1])
    gaps = [after - before for before, after in itertools.pairwise(sorted(read_at))]

    assert min(read_at) >= 0.75
    assert gaps == pytest.approx([0.4] * 3, abs=0.002)


@pytest.mark.parametrize("followers", [1, 3, 6])
def test_a_few_followers_look_at_once(followers: int) -> None:
    """If the server can serve all followers at once, none waits for a turn."""
    world = World([["x"]] * 3, [0.0] * 2, json.dumps({"followers": followers}).encode())
    poller = world.poller()
    for _ in range(3):
        world.run(poller.next())

    assert world.read_at == [0, 0.05, 0.1]


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
    """A follower reads after any message on the channel, whatever it contains."""
    world = World([["x"]] * 3, [0.0] * 2, hint)
    poller = world.poller()
    for _ in range(3):
        world.run(poller.next())

    assert world.read_at == [0, 0.05, 0.1]


def test_a_change_without_its_hint_makes_it_subscribe_anew() -> None:
    """A subscription that missed a change may be dead, so it is replaced once; any other is kept."""
    world = World([["a"], ["b"], [], ["c"], ["d"]], [None, 0.5, None, 0.5])
    poller = world.poller()
    for _ in range(4):
        world.run(poller.next())

    assert world.subscribed == [False, True, False, True]


def test_a_slow_caller_is_served_at_once() -> None:
    """A caller that returns after the poll time does not wait for a notification."""
    world = World([["a"], ["b"]], [])
    poller = world.poller(poll_s=1)
    world.run(poller.next())
    world.now += 5

    assert world.run(poller.next()) == ["b"]
    assert world.read_at == [0, 5]


def test_a_lost_subscription_is_made_again() -> None:
    """After a lost connection the follower polls once, and subscribes again for the next wait."""
    world = World([["a"], [], ["b"]], [ConnectionLost("gone"), 0.25])
    poller = world.poller(poll_s=1)
    world.run(poller.next())
    world.run(poller.next())

    assert world.read_at == [0, 1, 1.3]


def test_a_refused_subscription_is_not_tried_again() -> None:
    """If the server refuses the subscription, the follower polls, at least once a second."""
    world = World([["a"], [], [], ["b"]], [NoPermissionError("NOPERM")])
    poller = world.poller(poll_s=60)
    world.run(poller.next())
    world.run(poller.next())

    assert world.read_at == pytest.approx([0, 1.05, 2.1, 3.15])


def test_the_end_is_looked_at_before_it_is_believed() -> None:
    """A change at the last moment is yielded, and restarts the idle time."""
    world = World([["a"], ["b"], [], []], [None] * 3)
    poller = world.poller(poll_s=10, idle_s=2)

    assert [world.run(poller.next()) for _ in range(3)] == [["a"], ["b"], []]
    assert world.read_at == [0, 2, 4]


def test_trouble_is_waited_for_with_growing_pauses() -> None:
    """Each attempt closes the idle connections first, and waits longer than the one before."""
    errors: list[Any] = [ConnectionLost("gone"), TooLate("late"), OSError("refused")] * 2
    world = World([["a"], *errors, ["b"]], [0.5])
    poller = world.poller()
    world.run(poller.next())

    assert world.run(poller.next()) == ["b"]
    assert [effect for effect in world.effects if isinstance(effect, Reset)] == [Reset()] * 6
    pauses = [effect.seconds for effect in world.effects if isinstance(effect, Wait) and not effect.channel][
        1:
    ]
    assert all(0.025 * 2**n <= pause <= 0.05 * 2**n for n, pause in enumerate(pauses))


def test_pauses_are_bounded_and_spread() -> None:
    """The back-off is at most two seconds, so a server that was down for hours is found soon."""
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
    """A server that is unreachable, starting or failing over comes back. A wrong password stays wrong."""
    assert is_transient(error) is expected


def test_the_first_look_fails_as_a_call_does() -> None:
    """The first read is not retried: its error is raised."""
    world = World([ConnectionLost("gone")], [])

    with pytest.raises(ConnectionLost):
        world.run(world.poller().next())
    assert len(world.effects) == 1


#: After a read at 10 s that found a change.
READ = PollState(read_at=10.0, changed_at=10.0)


@pytest.mark.parametrize(
    ("state", "poll_s", "idle_s", "now", "expected"),
    [
        (READ, 1.0, None, 10.25, Wait(0.75, "channel")),
        (READ, 1.0, None, 11.0, None),
        (READ, 1.0, None, 15.0, None),
        (READ, 60.0, 2.0, 10.5, Wait(1.5, "channel")),
        (READ, 60.0, 2.0, 12.0, None),
        (READ, 1.0, 0.0, 10.0, None),
        (replace(READ, changed_at=4.0), 60.0, 8.0, 10.0, Wait(2.0, "channel")),
        (replace(READ, missed=True), 1.0, None, 10.0, Wait(1.0, "channel", resubscribe=True)),
        (replace(READ, can_subscribe=False), 60.0, None, 10.0, Wait(1.0)),
        (replace(READ, can_subscribe=False), 0.5, None, 10.25, Wait(0.25)),
        (replace(READ, can_subscribe=False), 0.5, None, 10.5, None),
    ],
)
def test_the_next_wait(
    state: PollState, poll_s: float, idle_s: float | None, now: float, expected: Wait | None
) -> None:
    """A follower waits until the poll time or the end of the idle time, for a notification if it may subscribe."""
    assert next_wait(state, PollPolicy(poll_s, idle_s), now, "channel") == expected
