"""Retention: removes runs that had no event for a long time."""

from collections.abc import Set as AbstractSet

import structlog

from sanctum_bus.worker.membership import Membership
from sanctum_bus.worker.registry import Registry

_log = structlog.get_logger()


class Retention:
    """Removes expired runs.

    Args:
        registry: of the server.
        membership: selects the runs that this worker removes, so that the workers divide them.
        retention_s: seconds without an event after which a run expires; 0: never.
    """

    def __init__(self, registry: Registry, membership: Membership, retention_s: float) -> None:
        self._registry = registry
        self._membership = membership
        self._retention_s = retention_s

    async def expire(self, registered: AbstractSet[str], folding: AbstractSet[str]) -> None:
        """Remove the expired runs of this worker's share.

        Args:
            registered: the runs of the index.
            folding: runs that this worker folds. The set may change during the call.

        Raises:
            RedisError: a request failed.
        """
        membership = self._membership
        if not self._retention_s or not membership.workers:
            return
        since_ms = membership.now_ms - int(self._retention_s * 1000)
        old = registered - await self._registry.active(since_ms) - folding
        resting = await self._registry.resting(membership.share_of(old), membership.workers)
        # A run that woke before `resting` read its checkpoint is active in the index now. If it wakes later, its
        # checkpoint changes, and `expire` refuses.
        for run_id in resting.keys() - await self._registry.active(since_ms):
            if await self._registry.expire(run_id, resting[run_id]):
                _log.info("run expired", run=run_id)
