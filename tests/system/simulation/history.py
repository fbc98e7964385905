"""The expected snapshot: the fold of the entries of a history, entry by entry."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sanctum_bus.errors import FoldFailed
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.recovery import QuarantinedEntry, RecoveryMemo, quarantine
from sanctum_bus.protocol.stream_id import parse
from sanctum_bus.protocol.text import encode_value
from sanctum_bus.protocol.text_msgspec import encode_fields
from tests.system.simulation.streams import Flat, Id, show_id

Texts = dict[bytes, bytes]


def _texts(fields: dict[str, Any]) -> Texts:
    flat = [
        item if isinstance(item, bytes) else item.encode("utf-8", "replace") for item in encode_fields(fields)
    ]
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Trim(NamedTuple):
    """A range that an acquisition found trimmed between the version and an ID."""

    after: str
    until: str
    entries: int


class Reference:
    """The expected snapshot: its entries, folded one after the other.

    Args:
        poison: entries that are parked unread.
        log_cap: lines that the log keeps.
        trims: trimmed ranges, by the number of entries that were folded before.
        begins: number of entries whose log lines were deleted.
    """

    def __init__(
        self, poison: dict[str, QuarantinedEntry], log_cap: int, trims: dict[int, Trim], begins: int = 0
    ) -> None:
        self._poison = poison
        self._log_cap = log_cap
        self._trims = trims
        self._begins = begins
        self._entries: list[tuple[Id, Flat]] = []
        self._begin()

    def _begin(self) -> None:
        # A worker counts gaps that two attempts have seen; here the entries show that they are real.
        self.aggregate = Aggregate(memo=RecoveryMemo(self._poison, trusts_gaps=True))
        self.sections: dict[str, Texts] = {}
        self.lines: list[tuple[Id, Texts]] = []
        self.batches: list[tuple[Id, Texts]] = []
        self.parked: list[str] = []
        self._fed = 0

    def feed(self, entries: Iterable[tuple[Id, Flat]]) -> None:
        """Fold more entries."""
        todo = list(entries)
        self._entries += todo
        while True:
            try:
                for one, flat in todo:
                    if self._fed == self._begins:
                        self._collect()
                        self.lines, self.batches = [], []
                    trim = self._trims.get(self._fed)
                    if trim is not None:
                        self.aggregate.version = trim.after
                        self.aggregate.record_trim(trim.until, trim.entries)
                    self._fed += 1
                    self.aggregate.apply(show_id(one).decode(), dict(zip(flat[::2], flat[1::2], strict=True)))
                break
            except FoldFailed as error:
                self._poison[error.entry_id] = quarantine(error)
                self._begin()
                todo = self._entries
        if self._fed == self._begins:
            self._collect()
            self.lines, self.batches = [], []
        self._collect()

    def _collect(self) -> None:
        changes = self.aggregate.drain_changes()
        for name, fields in changes.sections.items():
            if fields is None:
                self.sections.pop(name, None)
            else:
                self.sections[name] = _texts(fields)
        self.lines += [(parse(one), _texts(fields)) for one, fields in changes.lines]
        self.batches += [(parse(one), _texts(fields)) for one, fields in changes.batches]
        del self.lines[: -self._log_cap]
        self.parked += [parked.entry_id for parked in changes.parked]

    def counters(self) -> Texts:
        """The counters as a checkpoint has them."""
        counters = self.aggregate.counters
        names = ("entries", "events", "parked", "duplicates", "lost", "producers", "closed")
        return {name.encode(): encode_value(getattr(counters, name)).encode() for name in names}


class History:
    """One history of one run, from its first entry or from a checkpoint that was lost.

    Attributes:
        folded: the entries of the snapshot.
        begins: number of entries that were folded before the stream was replaced: their log lines were
            deleted.
        trims: trimmed ranges, by the number of entries that were folded before.
        may_be_fresh: the checkpoint was damaged, so that a new history may begin.
        unchecked: the snapshot was changed by hand; it is not compared until a new history begins.
    """

    def __init__(self, log_cap: int) -> None:
        self.log_cap = log_cap
        self.folded: list[tuple[Id, Flat]] = []
        self.begins = 0
        self.trims: dict[int, Trim] = {}
        self.version: Id = (0, 0)
        self.generation = 0
        self.attempts = 0
        self.poison: dict[str, QuarantinedEntry] = {}
        self.may_be_fresh = False
        self.unchecked = False
        self.scarred = False
        self._reference: Reference | None = None

    def copy(self) -> "History":
        """Return an independent copy."""
        new = History(self.log_cap)
        new.__dict__.update(self.__dict__)
        new.folded, new.poison, new._reference = list(self.folded), dict(self.poison), None
        new.trims = dict(self.trims)
        return new

    def begin(self) -> None:
        """Start a new history."""
        self.folded, self.begins, self.trims, self.version = [], 0, {}, (0, 0)
        self.poison, self._reference = {}, None
        self.may_be_fresh = self.unchecked = False

    def replaced(self) -> None:
        """Record that the stream was replaced: the state stays, the log does not."""
        self.begins, self.version, self._reference = len(self.folded), (0, 0), None

    def trimmed(self, until: str, entries: int) -> None:
        """Record the range that the last acquisition found trimmed, "" for none; the next line reports it."""
        self.trims.pop(len(self.folded), None)
        if until:
            self.trims[len(self.folded)] = Trim(show_id(self.version).decode(), until, entries)

    def extend(self, entries: list[tuple[Id, Flat]], version: Id) -> None:
        """Fold more entries."""
        reference = self.reference
        self.folded += entries
        self.version = version
        reference.feed(entries)

    @property
    def reference(self) -> Reference:
        """Return the expected snapshot."""
        if self._reference is None:
            self._reference = Reference(self.poison, self.log_cap, self.trims, self.begins)
            self._reference.feed(self.folded)
        return self._reference
