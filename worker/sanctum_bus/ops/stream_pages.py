"""What a run's stream still holds, read page by page from its first entry while others add to it and trim it."""

from dataclasses import dataclass
from typing import Any, cast

import redis
from redis.exceptions import ResponseError

from sanctum_bus.errors import StreamMoved, Unavailable
from sanctum_bus.protocol.entry import Entry
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.stream_id import ZERO, less

#: Entries that are read at once.
_PAGE = 1000


@dataclass(slots=True)
class StreamPages:
    """The stream, read page by page. Whoever folds it trims it, too: what goes before it was read is noticed.

    Args:
        missing: entries that it had lost when it was first looked at.
        deleted: the greatest id that had been deleted by then.
        first: id of the first entry that was there.
        cursor: id of the last entry that was read.
        entries: how many were read.
        at_end: the last page was no full one.
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
        """Look at what there is.

        Raises:
            NotNow: there is no stream.
        """
        info = self._checked(self.client.pipeline().xinfo_stream(self.run.events))[0]
        self.missing = info["entries-added"] - info["length"]
        self.deleted = info["max-deleted-entry-id"].decode()
        self.first = info["first-entry"][0].decode() if info["first-entry"] else ""

    def page(self, until: str) -> list[tuple[str, Entry]]:
        """Return the next entries up to an id.

        Raises:
            Again: entries that were not read yet have gone.
            NotNow: there is no stream.
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
                f"the stream of run {self.run.run_id} is gone: its snapshot is all that is left of it"
            ) from None
