"""A run that this worker owns: its lease, its aggregate, and the entries on their way through it."""

from dataclasses import dataclass, field
from itertools import chain

from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.coverage import Coverage
from sanctum_bus.fold.recovery import RecoveryMemo
from sanctum_bus.fold.state import State
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.protocol.stream_id import parse
from sanctum_bus.worker.store import Commit, InFlight, Lease, Loaded

#: Acquisitions without a commit after which entries are read one by one: one of them may be killing its readers.
_ONE_BY_ONE_ATTEMPTS = 3

#: Acquisitions without a commit after which the first entry is parked unread.
_PARK_FIRST_ATTEMPTS = 5

#: Entries of the first read, whose size is unknown. Each further read requests twice as many.
_FIRST_READ = 128

#: Bytes of entries that one read should bring at most; `read_limit` follows from it.
_READ_BYTES = 8 << 20

#: Trim points that a run keeps at most: every commit writes all of them.
_TRIM_POINTS = 32


def restore(lease: Lease, loaded: Loaded, memo: RecoveryMemo, *, max_envs: int) -> Aggregate:
    """Return the aggregate of a snapshot.

    Sections of an older schema are upgraded; the first commit writes them.

    Args:
        lease: from the acquisition.
        loaded: the snapshot.
        memo: from earlier attempts.
        max_envs: environments that a run may have.
    """
    state = State(schema.upgrade(loaded.sections, loaded.schema), max_envs=max_envs)
    if loaded.schema != schema.SCHEMA_VERSION:
        state.changed.update(dict.fromkeys(loaded.sections, lease.version))
    aggregate = Aggregate(state, loaded.counters, Coverage(loaded.coverage), lease.version, memo)
    if lease.trimmed_until:
        aggregate.record_trim(lease.trimmed_until, lease.trimmed_entries)
    return aggregate


@dataclass
class RunSession:
    """One run, from its acquisition until it is released or restarted.

    Args:
        lease: from the acquisition.
        aggregate: folds the entries.
        in_flight: entries that are read and not committed.
        ahead: entries that are read and not folded.
        expects_more: the last read brought as many entries as it requested.
        read_limit: number of entries that the next read may request.
        clean_entries: entries committed since the acquisition.

    Attributes:
        version: of the last commit.
    """

    lease: Lease
    aggregate: Aggregate
    in_flight: InFlight = field(default_factory=lambda: InFlight([]))
    ahead: Entries = field(default_factory=list)
    expects_more: bool = False
    read_limit: int = _FIRST_READ
    clean_entries: int = 0
    version: str = ""

    def __post_init__(self) -> None:
        self.version, counters = self.lease.version, self.aggregate.counters
        # Trim points of a stream that was replaced may lie after the version, among unread entries.
        counters.trim_points = [
            point for point in counters.trim_points if parse(point[1]) <= parse(self.version)
        ]

    def next_read(self, limit: int) -> int:
        """Return the number of entries that the next read requests.

        Args:
            limit: the setting `read_batch_size`.
        """
        return 1 if self.one_by_one else min(self.read_limit, limit)

    def buffer(self, entries: Entries, count: int) -> None:
        """Keep the entries of a read until they are folded.

        Args:
            entries: what the read brought.
            count: number of entries that it requested.
        """
        size = sum(map(len, chain.from_iterable([flat for _, flat in entries])))
        self.ahead = entries
        self.in_flight.size += size
        self.expects_more = len(entries) == count and not self.one_by_one
        if size > _READ_BYTES:
            self.read_limit = max(1, count // 2)
        else:
            self.read_limit = count * 2 if self.expects_more else _FIRST_READ

    def drain_ahead(self) -> Entries:
        """Remove and return the entries that are not folded. The next read is a small one again."""
        entries, self.ahead, self.read_limit = self.ahead, [], _FIRST_READ
        return entries

    def take_batch(self) -> tuple[InFlight, Entries]:
        """Detach the entries in flight for a commit; return them, and the entries that are not folded."""
        in_flight, self.in_flight, ahead, self.ahead = self.in_flight, InFlight([]), self.ahead, []
        in_flight.ahead = [raw_id.decode() for raw_id, _ in ahead]
        return in_flight, ahead

    def on_committed(self, commit: Commit, enough: int) -> None:
        """Record a commit. An empty one, or enough entries one by one, reset the count of attempts.

        Args:
            commit: the commit.
            enough: number of entries after which entries are read in batches again.
        """
        entries = len(commit.in_flight.ids)
        self.version = commit.version
        self.clean_entries += entries
        if not entries or self.clean_entries >= enough:
            self.lease = self.lease._replace(attempts=0)
        elif self.park_first:
            self.lease = self.lease._replace(attempts=_ONE_BY_ONE_ATTEMPTS)

    @property
    def is_behind(self) -> bool:
        """Whether there is something to commit or to read without waiting."""
        return bool(self.in_flight.ids or self.ahead or self.expects_more)

    @property
    def one_by_one(self) -> bool:
        """Whether an entry may be killing its readers, so that entries are read and committed one by one."""
        return self.lease.attempts >= _ONE_BY_ONE_ATTEMPTS

    @property
    def park_first(self) -> bool:
        """Whether the first entry is parked without being decoded."""
        return self.lease.attempts >= _PARK_FIRST_ATTEMPTS

    def trim_before(self, stream_retain_entries: int) -> str:
        """Return an ID that leaves `stream_retain_entries` folded entries up to the next commit, "" if there is none.

        From time to time, the next commit becomes a trim point. Trim points are in the checkpoint, so that the next
        owner continues with them.

        Args:
            stream_retain_entries: number of folded entries that the stream keeps.
        """
        counters = self.aggregate.counters
        points, entries, found = counters.trim_points, counters.entries, ""
        if not points or entries - points[-1][0] >= max(1, stream_retain_entries // (_TRIM_POINTS // 4)):
            points.append((entries, self.aggregate.version))
        while points and points[0][0] <= entries - stream_retain_entries:
            _, found = points.pop(0)
        return found
