"""Mutations: guards and rules that are removed one at a time, with the faults under which the simulation detects it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

from redis.exceptions import RedisError

from sanctum_bus.protocol.entry import Entries
from sanctum_bus.publisher.batch import parse_replies
from sanctum_bus.publisher.entry import Entry
from sanctum_bus.worker.store import Commit, Lease, RunStore
from tests.system.simulation.network import Weather
from tests.system.simulation.patches import Edit, untouched
from tests.system.simulation.profiles import Profile
from tests.system.simulation.publishers import SimPublisher

_CALM = Weather()


def without(script: str, *texts: str) -> Edit:
    """Return an edit that removes texts from a script.

    Raises:
        AssertionError: the script does not have a text; adapt the mutation to the script.
    """

    def edit(name: str, text: str) -> str:
        if name == script:
            for one in texts:
                assert one in text, f"{script}.lua does not contain: {one}"
                text = text.replace(one, "")
        return text

    return edit


def _instead(script: str, old: str, new: str) -> Edit:
    def edit(name: str, text: str) -> str:
        if name == script:
            assert old in text, f"{script}.lua does not contain: {old}"
            text = text.replace(old, new)
        return text

    return edit


GENERATION = "if known[1] ~= generation then return refused('generation', known[1]) end"
VERSION = "if known[2] ~= old_version then return refused('version', known[2]) end"
PENDING = "if pending[1] == tonumber(held) and (pending[1] == 0 or (pending[2] == held_min and pending[3] == held_max)) then"
FIRST = "if not id_less(old_version, first) or (following and id_less(following[1], first)) then"
TORN = "redis.call('HSET', checkpoint, 'version', 'torn')"
AGAIN = "redis.pcall('XGROUP', 'DESTROY', events, group)\n  redis.call("


class TwoUnderWay(SimPublisher):
    """A publisher that sends two batches at a time."""

    async def deliver(self) -> None:
        """Send a batch in halves, the second before the first is accepted."""
        entries = self.buffer.take(self.batch_events, 1 << 20)
        middle = (len(entries) + 1) // 2
        todo = [half for half in (entries[:middle], entries[middle:]) if half]
        failed = False
        while todo:
            again: list[list[Entry]] = []
            for half in todo:
                counts = self.buffer.counts
                batch = self.batch_of(half, counts.sent + len(half), counts)
                try:
                    result = parse_replies(await self.execute(batch))
                except (RedisError, OSError):
                    again.append(half)
                    continue
                self.settle(result, half)
            failed, todo = bool(again), again
            if failed:
                await self._drop_client()


class Thawing(SimPublisher):
    """A publisher that returns sent events to its buffer, which may drop them before they are accepted."""

    async def insist(self, batch: list[Any]) -> Any:
        """Send a batch once."""
        return parse_replies(await self.execute(batch))

    async def deliver(self) -> None:
        """Send a batch; return events that are not accepted to the buffer."""
        try:
            await super().deliver()
        except (RedisError, OSError):
            buffer = self.buffer
            buffer._memory.extendleft(entry[:3] for entry in reversed(buffer._in_flight))
            buffer._last_taken = buffer._in_flight[0].seq - 1 - buffer._in_flight[0].dropped
            buffer._bytes += sum(len(entry.event) for entry in buffer._in_flight)
            buffer._in_flight.clear()
            buffer._drop_oldest()
            await self._drop_client()


@contextmanager
def no_empty_commits() -> Iterator[None]:
    """Let an owner that read no entry commit nothing."""
    real = RunStore.commit

    async def commit(self: RunStore, lease: Lease, commit: Commit, *, count: int = 0) -> Entries:
        return await real(self, lease, commit, count=count) if commit.in_flight.ids else []

    with mock.patch.object(RunStore, "commit", commit):
        yield


@dataclass(frozen=True)
class Mutation:
    """A guard or a rule that is removed.

    Args:
        name: of the guard or the rule.
        profile: faults under which its absence breaks a promise.
        edit: changes the scripts.
        publisher: class of the publishers.
        patch: changes the package.
        seeds: number of seeds to try at most.
    """

    name: str
    profile: Profile
    edit: Edit = untouched
    publisher: type[SimPublisher] = SimPublisher
    patch: Callable[[], AbstractContextManager[None]] = nullcontext
    seeds: int = 40


def _profile(faults: dict[str, float], **given: Any) -> Profile:
    usual: dict[str, Any] = {
        "weather": _CALM,
        "poison": 0.0,
        "every_s": 0.06,
        "workers": 2,
        "patience_s": 8.0,
    }
    return Profile(faults=faults, **(usual | given))


STOPS = _profile({"stop": 2, "storm": 1, "join": 1}, workers=3, settings={"read_batch_size": 1})
BACK = _profile({"failover": 1}, workers=1)
THIEVES = _profile({"thief": 1}, workers=1, hands=3, publishers=0, settings={"read_batch_size": 1})
CURSORS = _profile({"hand_setid_end": 1, "stop": 0.5}, workers=1, hands=3, publishers=0)
DEATHS = _profile({"die": 1}, workers=1)
ROBBED = _profile({"storm": 1}, workers=1, quiet=("rob",), events=5)
FULL = _profile(
    {"full": 1}, workers=1, weather=Weather(0.0, 0.0, 0.0, 0.02), every_s=0.2, hands=0, pace_s=0.01
)
SLOW = _profile({"storm": 1}, workers=1, buffer_events=3, hands=0, pace_s=0.01, every_s=0.1)

MUTATIONS = (
    Mutation("the generation guard", STOPS, without("commit", GENERATION)),
    Mutation("the version guard", BACK, without("commit", VERSION)),
    Mutation("the pending summary", THIEVES, _instead("commit", PENDING, "if true then")),
    Mutation("the first-entry check", CURSORS, _instead("commit", FIRST, "if false then")),
    Mutation("the torn mark", DEATHS, without("commit", TORN)),
    Mutation("the commit of empty reads", ROBBED, patch=no_empty_commits),
    Mutation("the group's new beginning", STOPS, _instead("acquire", AGAIN, "redis.pcall(")),
    Mutation("one batch under way", FULL, publisher=TwoUnderWay),
    Mutation("freezing what was sent", SLOW, publisher=Thawing),
)
