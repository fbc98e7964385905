"""The information that a failed fold gives to the next attempt: quarantined entries and confirmed gaps.

A fold that meets a problem does not repair it in place. The worker restarts from the checkpoint (an offline
fold from
the first entry), and the memo decides what the next attempt does at the same entry.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from sanctum_bus.errors import DeferredWriteFailed, FoldFailed, Gap, UnconfirmedGap
from sanctum_bus.protocol.entry import Entry


class QuarantinedEntry(NamedTuple):
    """An entry to park because of what it did in an earlier attempt.

    Args:
        why: the reason to park it with.
        entry: its fields; another entry that has the same ID by now is not parked.
        can_be_read: its fold failed; otherwise it is not even decoded.
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
        confirmed: gaps that a restart has shown again.
        trusts_gaps: gaps need no confirmation: the caller feeds every entry of the stream.
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
