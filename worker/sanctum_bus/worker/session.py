"""A run that was taken over: what was found, the aggregate rebuilt from it, and what its owner has to remember."""

from dataclasses import dataclass, field
from itertools import chain

from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.protocol.entry import Entries
from sanctum_bus.protocol.stream_id import parse
from sanctum_bus.worker.store import InFlight, Lease

#: Take-overs without a commit after which entries are read one by one: something may be killing its readers.
_SUSPECT_ATTEMPTS = 3

#: Take-overs without a commit after which the first entry is parked unread.
_GUILTY_ATTEMPTS = 5

#: Entries of the first read, of which nobody knows yet how large they are; each further read asks for twice as many.
_FIRST_READ = 128

#: Bytes of entries that one read should bring at most; the number that it asks for follows.
_READ_BYTES = 8 << 20

#: Commits that are remembered for trimming at most: every commit writes them.
_MARKS = 32


@dataclass
class RunSession:
    """One run in the hands of its owner.

    Args:
        taken: what the take-over brought.
        aggregate: what was read is fed to it.
        held: what was folded and is not yet committed.
        ahead: entries that were read and are not yet folded.
        expects_more: the last read brought all that it asked for.
        reach: entries that the next read may ask for.
        calm: entries committed since the take-over.

    Attributes:
        version: what was committed last.
    """

    taken: Lease
    aggregate: Aggregate
    held: InFlight = field(default_factory=lambda: InFlight([]))
    ahead: Entries = field(default_factory=list)
    expects_more: bool = False
    reach: int = _FIRST_READ
    calm: int = 0
    version: str = ""

    def __post_init__(self) -> None:
        self.version, counters = self.taken.version, self.aggregate.counters
        # Marks of a stream that was replaced may be ahead of the version, among what nobody has read.
        counters.marks = [mark for mark in counters.marks if parse(mark[1]) <= parse(self.version)]

    def next_read(self, most: int) -> int:
        """Return how many entries the next read asks for."""
        return 1 if self.is_suspicious else min(self.reach, most)

    def receive(self, entries: Entries, count: int) -> None:
        """Take in what a read brought that asked for so many."""
        size = sum(map(len, chain.from_iterable([flat for _, flat in entries])))
        self.ahead = entries
        self.held.size += size
        self.expects_more = len(entries) == count and not self.is_suspicious
        if size > _READ_BYTES:
            self.reach = max(1, count // 2)
        else:
            self.reach = count * 2 if self.expects_more else _FIRST_READ

    def rest(self) -> Entries:
        """Return what is ahead: nothing is kept while others work, and the next read is a small one again."""
        entries, self.ahead, self.reach = self.ahead, [], _FIRST_READ
        return entries

    def let_go(self) -> tuple[InFlight, Entries]:
        """Return what is to be committed, and what is ahead of it; from now on others are held."""
        held, self.held, ahead, self.ahead = self.held, InFlight([]), self.ahead, []
        held.ahead = [raw_id.decode() for raw_id, _ in ahead]
        return held, ahead

    def settle(self, entries: int, enough: int) -> None:
        """Note a commit: what was suspected is cleared by an empty one, or by `enough` entries one by one."""
        self.calm += entries
        if not entries or self.calm >= enough:
            self.taken = self.taken._replace(attempts=0)
        elif self.is_guilty:
            self.taken = self.taken._replace(attempts=_SUSPECT_ATTEMPTS)

    @property
    def is_behind(self) -> bool:
        """Whether there is something to commit, or to be read at once."""
        return bool(self.held.ids or self.ahead or self.expects_more)

    @property
    def is_suspicious(self) -> bool:
        """Whether something may be killing its readers, so that entries are read one by one."""
        return self.taken.attempts >= _SUSPECT_ATTEMPTS

    @property
    def is_guilty(self) -> bool:
        """Whether the first entry is parked unread."""
        return self.taken.attempts >= _GUILTY_ATTEMPTS

    def trim_before(self, stream_retain_entries: int) -> str:
        """Return an id that leaves `stream_retain_entries` folded entries up to the next commit, or "" where there is none yet.

        That commit is remembered now and then, as a place to trim at, and writes down what is remembered: whoever owns
        the run next goes on with it.

        Args:
            stream_retain_entries: folded entries that the stream keeps.
        """
        counters = self.aggregate.counters
        marks, entries, found = counters.marks, counters.entries, ""
        if not marks or entries - marks[-1][0] >= max(1, stream_retain_entries // (_MARKS // 4)):
            marks.append((entries, self.aggregate.version))
        while marks and marks[0][0] <= entries - stream_retain_entries:
            _, found = marks.pop(0)
        return found
