"""The memo of failed attempts at a fold, for the next attempt: quarantined entries and confirmed gaps.

A failed fold is not repaired in place. The worker restarts from the checkpoint (an offline fold from the first entry),
and the next attempt reads this memo when it reaches the same entry.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from sanctum_bus.errors import DeferredWriteFailed, FoldFailed, Gap, UnconfirmedGap
from sanctum_bus.protocol.entry import Entry


class QuarantinedEntry(NamedTuple):
    """An entry that the next attempt parks, because it failed an earlier attempt.

    Args:
        why: reason of the dead letter.
        entry: fields of the entry. Another entry that now has the same ID is not parked.
        can_be_read: the entry can be decoded, but its fold failed. Otherwise it is not decoded again.
    """

    why: str
    entry: Entry
    can_be_read: bool = False


def quarantine(error: FoldFailed) -> QuarantinedEntry:
    """Return the entry whose fold failed, to be parked in the next attempt."""
    return QuarantinedEntry(error.why, error.entry, can_be_read=True)


@dataclass(slots=True)
class RecoveryMemo:
    """Facts about a run's entries from earlier attempts.

    Args:
        quarantined: stream ID -> entry to park.
        confirmed: gaps that the same entries have shown before a restart.
        trusts_gaps: gaps need no confirmation, because the caller applies every entry of the stream.
        eager: a deferred write failed; nothing is deferred any more, so that the failing event is found.
    """

    quarantined: dict[str, QuarantinedEntry] = field(default_factory=dict)
    confirmed: set[Gap] = field(default_factory=set)
    trusts_gaps: bool = False
    eager: bool = False

    def is_confirmed(self, gap: Gap) -> bool:
        """Return whether a gap is real, and not only entries that were skipped."""
        return self.trusts_gaps or gap in self.confirmed

    def record(self, error: BaseException) -> bool:
        """Record the error that ended an attempt.

        Returns:
            Whether the next attempt will differ. If not, a restart alone does not help.
        """
        match error:
            case FoldFailed():
                self.quarantined[error.entry_id] = quarantine(error)
            case UnconfirmedGap():
                self.confirmed.update([error.gap, *error.behind])
            case DeferredWriteFailed() if not self.eager:
                self.eager = True
            case _:
                return False
        return True

    def reset(self) -> None:
        """Forget everything: the entries in question are committed."""
        self.quarantined.clear()
        self.confirmed.clear()
        self.eager = False
