"""The stream of a run, read page by page from its first entry while producers add to it and a worker trims it."""

from dataclasses import dataclass
from typing import Any, cast

import redis
from redis.exceptions import ResponseError

from sanctum_bus.errors import StreamMoved, Unavailable
from sanctum_bus.protocol.entry import Entry
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.stream_id import ZERO, less

#: Entries of one page.
_PAGE = 1000


@dataclass(slots=True)
class StreamPages:
    """A reader of the stream, which detects that entries were trimmed or deleted before they were read.

    Args:
        client: of the server.
        run: the run.
        missing: number of entries that the stream had lost when `begin` was called.
        deleted: greatest ID that had been deleted by then.
        first: ID of the first entry by then, "" if there was none.
        cursor: ID of the last entry that was read.
        entries: number of entries that were read.
        at_end: the last page was not full.
    """

    client: redis.Redis
    run: RunKeys
    missing: int = 0
    deleted: str = ZERO
    first: str = ""
    cursor: str = ZERO
    entries: int = 0
    at_end: bool = False

    def begin(self) -> None:
        """Record the state of the stream.

        Raises:
            Unavailable: there is no stream.
        """
        info = self._checked(self.client.pipeline().xinfo_stream(self.run.events))[0]
        self.missing = info["entries-added"] - info["length"]
        self.deleted = info["max-deleted-entry-id"].decode()
        self.first = info["first-entry"][0].decode() if info["first-entry"] else ""

    def page(self, until: str) -> list[tuple[str, Entry]]:
        """Return the next entries up to an ID, that one included.

        Raises:
            StreamMoved: entries were removed before they were read.
            Unavailable: there is no stream.
        """
        pipeline = self.client.pipeline(transaction=True)
        pipeline.xinfo_stream(self.run.events)
        pipeline.xrange(self.run.events, min=f"({self.cursor}", max=until, count=_PAGE)
        info, rows = self._checked(pipeline)
        first, deleted = info["first-entry"], info["max-deleted-entry-id"].decode()
        trimmed = info["entries-added"] - info["length"] > self.missing + self.entries
        if trimmed and (not first or less(self.cursor, first[0].decode())):
            raise StreamMoved
        if deleted != self.deleted and less(self.cursor, deleted):
            raise StreamMoved
        self.at_end = len(rows) < _PAGE
        if rows:
            self.cursor, self.entries = rows[-1][0].decode(), self.entries + len(rows)
        return [(entry_id.decode(), entry) for entry_id, entry in rows]

    def _checked(self, pipeline: Any) -> list[Any]:
        try:
            return cast("list[Any]", pipeline.execute())
        except ResponseError as error:
            if "no such key" not in str(error):
                raise
            raise Unavailable(
                f"cannot rebuild run {self.run.run_id}: it has no stream, and its snapshot is all that is left"
            ) from None
