"""The versions: of the package, of the protocol on the wire, and of the snapshot's schema."""

from typing import Final

__version__ = "0.1.0"

#: Version of the event map on the wire (its key `v`); an entry that bears another one parks.
WIRE_VERSION: Final = 1

#: Version of the snapshot's layout, kept in the checkpoint as `schema`.
SCHEMA_VERSION: Final = 1
