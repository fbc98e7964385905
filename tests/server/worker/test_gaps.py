"""Sequence gaps: one restart confirms all gaps that were delivered, and no gap that is only a skipped entry."""

import json

import pytest
import structlog

from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.protocol.entry import Entries
from tests.server.worker.test_prefetch import Counting
from tests.support.fold_run import Entry, entry
from tests.support.repairs import rebuild
from tests.support.servers import Server
from tests.support.worker_rig import Rig, Side, assert_is_fold, rigged, side_of

#: Further reads, each of twice as many entries, that bring this many if the first brings 128.
COUNT, READS = 2500, 5


class Robbed(Counting):
    """A store with a second consumer, which takes one entry in each of the first attempts, one read later than the last time."""

    reads = 0

    async def read(self, count: int) -> Entries:
        """Read, after the other consumer."""
        self.reads = 1 if self._attempt != self.acquisitions else self.reads + 1
        self._attempt = self.acquisitions
        if self.acquisitions <= 3 and self.reads == self.acquisitions + 1:
            await self._client.xreadgroup("sanctum", "thief", {self._run.events: ">"}, count=1, noack=True)
        return await super().read(count)

    _attempt = 0


def _numbered(numbers: range | list[int]) -> list[Entry]:
    return [entry("X", {"n": seq}, producer="p", seq=seq) for seq in numbers]


def _assert_all_count_alike(server: Server, side: Side) -> None:
    """The worker, a fold of the same entries, and a rebuild count the same losses."""
    expected = fold_entries(side.stream()).counters
    lost = [expected.lost, expected.lost_ranges, expected.producers]
    names = ("lost", "lost_ranges", "producers")
    assert_is_fold(side)
    assert [json.loads(side.checkpoint(name)) for name in names] == lost
    rebuild(server, side)
    assert [json.loads(side.checkpoint(name)) for name in names] == lost


async def _drained(rig: Rig) -> int:
    assert isinstance(rig.store, Counting)
    await rig.drain()
    return rig.store.acquisitions


def test_many_holes_cost_few_start_overs(server: Server) -> None:
    """A18: a gap before each entry costs at most one acquisition for each read, and one log line."""
    side = side_of(server)
    side.add(_numbered(range(1, 2 * COUNT, 2)))

    with structlog.testing.capture_logs() as lines:
        acquisitions = rigged(server, _drained, kind=Counting, commit_interval_ms=60_000)

    assert acquisitions <= 1 + READS
    assert [line["event"] for line in lines].count("run acquired") == 1
    assert side.checkpoint("lost") == f'{{"gap":{COUNT - 1}}}'
    _assert_all_count_alike(server, side)


def test_holes_of_several_producers_and_entries_of_none(server: Server) -> None:
    """Parked entries, duplicates and entries without a sequence number are ignored when gaps are searched."""
    side = side_of(server)
    odd = [entry("X", {}), entry("X", {}, producer="p", seq="x"), *_numbered([4])]
    many = [entry("X", {}, producer="q", seq=seq) for seq in (3, 6, 6, 9)]
    side.add([*_numbered([1, 4]), *odd, *many, *_numbered([6, 7, 9])])

    assert rigged(server, _drained, kind=Counting) == 2

    assert json.loads(side.checkpoint("lost")) == {"gap": 8, "before this history": 2}
    _assert_all_count_alike(server, side)


@pytest.mark.parametrize("holes", [[], [7, 8, 13, 33]])
def test_what_was_stolen_is_never_believed(server: Server, holes: list[int]) -> None:
    """A5: a gap that does not show again when the entries are read again is not counted, whatever else was confirmed."""
    side = side_of(server)
    side.add(_numbered([seq for seq in range(1, 51) if seq not in holes]))

    acquisitions = rigged(server, _drained, kind=Robbed, read_batch_size=5, commit_interval_ms=60_000)

    assert acquisitions > 3
    assert json.loads(side.checkpoint("lost")) == ({"gap": len(holes)} if holes else {})
    assert side.checkpoint("events") == str(50 - len(holes))
    _assert_all_count_alike(server, side)
