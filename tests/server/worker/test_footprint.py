"""The memory of a worker holds the state of its runs: a commit leaves nothing behind."""

import gc

from tests.support.servers import Server
from tests.support.worker_rig import Rig, plain, rigged, side_of

#: Commits until everything that is kept once exists, and commits that must add nothing.
WARM, MORE = 50, 200


def test_a_commit_leaves_nothing_in_memory(server: Server) -> None:
    """However often the same section is folded and written, the number of the worker's objects does not grow."""
    side_of(server).add(plain(WARM + MORE))

    async def use(rig: Rig) -> int:
        aggregate, lease, in_flight = await rig.begin(1)
        version = lease.version
        counted = []
        for commits in (WARM, MORE - 1):
            for _ in range(commits):
                entries = await rig.commit(aggregate, lease, in_flight, version, count=1)
                version, in_flight.ids = in_flight.ids[-1], [raw_id.decode() for raw_id, _ in entries]
                aggregate.apply_batch(entries)
            gc.collect()
            counted.append(len(gc.get_objects()))
        return counted[1] - counted[0]

    assert rigged(server, use) < MORE // 10
