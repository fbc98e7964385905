"""The stream entry: its field names, its limits, and the types of what it carries."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

#: Fields of a stream entry.
TYPE = "type"
PRODUCER = "producer"
SEQ = "seq"
EVENT = "event"
JSON = "json"
REQUEUED_FROM = "requeued_from"

#: The fields of nearly every entry, in the order in which Sanctum's publisher sends them.
LAYOUT = (TYPE, PRODUCER, SEQ, EVENT)

#: Count of the numbers directly before `seq` that the publisher dropped and will never send; absent if zero.
DROPPED = "dropped"

#: The type of a publisher's end-of-stream marker. It takes the next `seq` like any other entry, so that a lost tail
#: shows as a gap before it. Its event map carries `data` with `sent` and `dropped`.
CLOSED = "_closed"

#: Keys of the event map that belong to the transport and are never captured.
TRANSPORT_KEYS = frozenset({"v"})

#: Keys of the event map that the fold reads. Other keys are kept unchanged.
ENVELOPE_KEYS = (
    "event_id",
    "timestamp",
    "seed_id",
    "slot_id",
    "epoch",
    "message",
    "severity",
    "group_id",
)

#: A map of labels of the run, sent with a producer's first event and with each TRAINING_STARTED.
LABELS = "labels"

#: True on a TRAINING_STARTED that is sent again because the server was emptied: it fills missing fields and resets nothing.
AGAIN = "again"

#: Limits of one entry: bytes, fields of a map, depth of nesting.
MAX_ENTRY_BYTES = 1 << 20
MAX_FIELDS = 1024
MAX_DEPTH = 32

#: Times (seconds) and epochs beyond this are not plausible; they are kept as extra fields.
FAR = float(1 << 63)


#: Version of the event map (its key `v`). A worker parks entries with another version.
WIRE_VERSION: Final = 1


#: None, bool, int, float, str, list of values, dict of text to values.
Value: TypeAlias = Any


#: The fields of a section or of an event, for writing.
Fields: TypeAlias = dict[str, Value]

#: The same for reading only.
FieldsView: TypeAlias = Mapping[str, Value]


#: Values that a `<name>_history` field keeps.
HISTORY = 50


#: An entry by field name.
Entry: TypeAlias = Mapping[bytes, bytes]


#: An entry as the server returns it: names and values alternating.
Flat: TypeAlias = list[bytes]


#: The reply of a read: IDs and entries.
Entries: TypeAlias = list[tuple[bytes, Flat]]


def entry_of(flat: Flat) -> Entry:
    """Return an entry as a map of field names to values."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


#: `LAYOUT` in bytes, and the index of the producer's value in an entry of that layout.
RAW_LAYOUT = [name.encode() for name in LAYOUT]


PRODUCER_AT = 2 * LAYOUT.index(PRODUCER) + 1
