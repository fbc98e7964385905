"""Membership: the lease of this worker, the live workers, and the runs that belong to this worker."""

import time
from collections.abc import Collection

from sanctum_bus.worker.assignment import owner_of, share_of
from sanctum_bus.worker.metrics.recorder import WorkerMetrics
from sanctum_bus.worker.registry import Registry


class Membership:
    """The lease of one worker, and the live workers at its last heartbeat.

    Args:
        registry: stores the leases.
        worker: ID of this worker.
        lease_s: seconds that this worker counts as alive after a heartbeat.
        metrics: records the heartbeats.

    Attributes:
        now_ms: server time of the last heartbeat, ms since the Unix epoch; 0 before the first.
        workers: IDs of the live workers at that time; empty before the first.
    """

    def __init__(self, registry: Registry, worker: str, lease_s: float, metrics: WorkerMetrics) -> None:
        self._registry = registry
        self._worker = worker
        self._lease_ms = int(lease_s * 1000)
        self._metrics = metrics
        self.now_ms = 0
        self.workers: frozenset[str] = frozenset()

    async def heartbeat(self) -> int:
        """Renew the lease and the set of live workers; return the server time in ms."""
        sent_at = time.monotonic()
        live = await self._registry.heartbeat(self._worker, self._lease_ms)
        self._metrics.record_heartbeat(sent_at, live)
        self.now_ms, self.workers = live
        return self.now_ms

    async def leave(self) -> None:
        """End the lease and remove the status, so that other workers acquire the runs at once."""
        if self.workers:
            others = await self._registry.heartbeat(self._worker, 0)
            await self._registry.publish_status(self._worker, "", others.workers)

    async def still_mine(self, run_id: str) -> bool:
        """Return whether a run belongs to this worker, after a heartbeat.

        Without a lease, as in a drain, every run does.
        """
        if not self.workers:
            return True
        await self.heartbeat()
        return owner_of(run_id, self.workers) == self._worker

    def share_of(self, runs: Collection[str]) -> set[str]:
        """Return the runs that belong to this worker."""
        return share_of(self._worker, runs, self.workers)
