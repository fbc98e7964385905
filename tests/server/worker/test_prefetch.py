"""A commit reads the next entries in the same request, whatever happened to the commit."""

from typing import Any

import pytest

from sanctum_bus.errors import RestartRun
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.protocol.keys import GROUP
from sanctum_bus.worker.store import Lease, RunStore
from tests.support.servers import Server
from tests.support.worker_rig import Rig, assert_is_fold, plain, rigged, side_of

#: More than two commits of the settings below.
MANY = 60


class Counting(RunStore):
    """A store that counts how often its run was acquired."""

    acquisitions = 0

    async def acquire(self, owner: str, *, blameless: bool) -> Lease | None:
        """Count, and acquire the run."""
        self.acquisitions += 1
        return await super().acquire(owner, blameless=blameless)


class Forgetting(Counting):
    """A store whose server forgets all scripts before each commit."""

    async def commit(self, *given: Any, **named: Any) -> Entries:
        """Remove the scripts from the server, then commit."""
        await self._client.script_flush()
        return await super().commit(*given, **named)


class Robbed(RunStore):
    """A store whose group is missing right behind its commit, so that the read fails."""

    def _reading(self, count: int) -> tuple[str | int, ...]:
        reading = super()._reading(count)
        return reading if count > 5 else tuple("none" if word == GROUP else word for word in reading)


def test_the_read_behind_a_commit_is_the_next(server: Server) -> None:
    """The entries that a commit brings follow those that it acknowledges, and they are pending."""
    side = side_of(server)
    told = side.add(plain(MANY))

    async def use(rig: Rig) -> Entries:
        aggregate, lease, in_flight = await rig.begin(10)
        return await rig.commit(aggregate, lease, in_flight, count=5)

    assert [raw_id.decode() for raw_id, _ in rigged(server, use)] == told[10:15]
    assert side.checkpoint() == told[9]
    assert side.pending() == 5


@pytest.mark.parametrize("kind", [Counting, Forgetting])
def test_nothing_starts_over_for_a_script_that_was_forgotten(server: Server, kind: type[Counting]) -> None:
    """If the server does not have the script, the commit is sent again, and the entries read behind it are kept."""
    side = side_of(server)
    side.add(plain(MANY))

    async def use(rig: Rig) -> tuple[int, int]:
        assert isinstance(rig.store, Counting)
        await rig.drain()
        return rig.store.acquisitions, rig.loop.commits

    acquisitions, commits = rigged(server, use, kind=kind, read_batch_size=10, commit_max_entries=20)

    assert acquisitions == 1
    assert commits > 2
    assert_is_fold(side)
    assert side.pending() == 0


def test_a_read_that_fails_behind_a_commit(server: Server) -> None:
    """The commit was executed anyway; the run restarts from it."""
    side = side_of(server)
    told = side.add(plain(MANY))

    async def use(rig: Rig) -> None:
        aggregate, lease, in_flight = await rig.begin(10)
        with pytest.raises(RestartRun, match="NOGROUP"):
            await rig.commit(aggregate, lease, in_flight, count=5)

    rigged(server, use, kind=Robbed)

    assert side.checkpoint() == told[9]
