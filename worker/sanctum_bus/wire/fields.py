"""The names on the wire."""

#: Fields of a stream entry.
TYPE = "type"
PRODUCER = "producer"
SEQ = "seq"
EVENT = "event"
JSON = "json"
REQUEUED_FROM = "requeued_from"

#: The fields of nearly every entry, in the order in which a publisher of ours sends them.
LAYOUT = (TYPE, PRODUCER, SEQ, EVENT)

#: How many numbers right before its `seq` the publisher has dropped and will never send; only where there are any.
DROPPED = "dropped"

#: The type of the entry with which a publisher says goodbye. It takes the next `seq` like any other entry, so that a
#: lost tail shows as a gap before it. Its event map carries `data` with `sent` and `dropped`.
CLOSED = "_closed"

#: Keys of the event map that are transport, and never captured.
TRANSPORT_KEYS = frozenset({"v"})

#: Keys of the event map that the fold knows. Others are kept as they are.
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

#: True on a TRAINING_STARTED that is sent again because the server was emptied: it fills and resets nothing.
AGAIN = "again"

#: Limits of what one entry may be.
MAX_ENTRY_BYTES = 1 << 20
MAX_FIELDS = 1024
MAX_DEPTH = 32

#: Beyond this, in seconds or epochs, a number is none that was meant.
FAR = float(1 << 63)
