"""Discovery: the runs that need an owner, from the index of runs and from a scan of the streams."""

from collections.abc import Set as AbstractSet

from redis.exceptions import ResponseError

from sanctum_bus.worker.registry import Registry


class Discovery:
    """Finds the runs that need an owner.

    The index names the runs with a recent event. The scan finds the others: streams that no producer registered, and idle
    runs with new entries.

    Args:
        registry: of the server.
        idle_timeout_s: seconds after its last event during which a run of the index is active.
        scans_streams: whether `scan` searches for streams, or only looks at the runs of the index.

    Attributes:
        unread: runs with unread entries that the last scan found.
    """

    def __init__(self, registry: Registry, idle_timeout_s: float, *, scans_streams: bool) -> None:
        self._registry = registry
        self._idle_timeout_ms = int(idle_timeout_s * 1000)
        self._scans_streams = scans_streams
        self.unread: set[str] = set()

    async def active(self, now_ms: int) -> set[str]:
        """Return the runs of the index with a recent event.

        Args:
            now_ms: server time, ms since the Unix epoch.
        """
        return await self._registry.active(now_ms - self._idle_timeout_ms)

    async def scan(self, folding: AbstractSet[str]) -> set[str]:
        """Find runs with unread entries, and return all runs of the index.

        Args:
            folding: runs that this worker folds already. The set may change during the scan.

        Raises:
            RedisError: a request failed. If only the index is unreadable, the streams are searched anyway.
        """
        streams = await self._registry.scan() if self._scans_streams else set()
        try:
            registered = await self._registry.registered()
        except ResponseError:
            # Streams are found without the index; only the index has the age of a run.
            await self._find_unread(streams, folding)
            raise
        await self._find_unread(registered | streams, folding)
        return registered

    async def _find_unread(self, runs: AbstractSet[str], folding: AbstractSet[str]) -> None:
        found = await self._registry.with_unread(runs - folding)
        # Replaces the result of the last scan: its runs are found again unless an owner has folded them.
        self.unread = found - folding
