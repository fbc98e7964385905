"""Assignment of runs to workers. Each worker computes the same result from the same two sets, without leader or lock.

The method is rendezvous hashing: a run belongs to the worker with the highest weight for it. So a worker that joins takes
only its share, and if a worker leaves, only its runs move. Membership may be out of date for a moment. That costs a
retry, but never a wrong snapshot, because each commit is fenced.
"""

from collections.abc import Collection
from hashlib import blake2b


def owner_of(run_id: str, workers: Collection[str]) -> str | None:
    """Return the worker that a run belongs to, or None if there are no workers."""
    return max(workers, key=lambda worker: (_weight(run_id, worker), worker), default=None)


def share_of(worker: str, runs: Collection[str], workers: Collection[str]) -> set[str]:
    """Return the runs that belong to one worker."""
    return {run_id for run_id in runs if owner_of(run_id, workers) == worker}


def _weight(run_id: str, worker: str) -> bytes:
    return blake2b(f"{run_id}\0{worker}".encode(), digest_size=8).digest()
