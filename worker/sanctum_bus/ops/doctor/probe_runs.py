"""Reading the state of the runs on a server. Other modules judge it."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeAlias, cast

import redis
from redis.exceptions import NoPermissionError, ResponseError

from sanctum_bus.connection import owner
from sanctum_bus.errors import Unavailable, UnknownRun, UnknownSchema
from sanctum_bus.ops.doctor.judge_runs import Group, Run
from sanctum_bus.ops.runs import wrong_keys, wrong_shared
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.key_types import WrongType
from sanctum_bus.protocol.keys import GROUP, RunKeys
from sanctum_bus.protocol.stream_id import ZERO
from sanctum_bus.reader import Reader, RunInfo, Snapshot

#: The state of a run, or its keys of the wrong type, or why it cannot be read.
Asked: TypeAlias = Run | list[WrongType] | ResponseError | UnknownSchema


class Asker:
    """Reads the state of runs.

    Args:
        client: a client for the servers.
        prefix: the key prefix.

    Attributes:
        refused: the first refusal to read a group; None if every group was read.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._reader = Reader(client=client, key_prefix=prefix)
        self.refused: NoPermissionError | None = None

    def runs(self) -> Iterator[tuple[str, Asked]]:
        """Yield the name and the state of each run."""
        alive = self._alive()
        for info in self._reader.runs():
            # The run may be removed meanwhile.
            with suppress(UnknownRun):
                yield info.run_id, self._run(info, alive)

    def wrong_shared(self) -> list[WrongType]:
        """Return the keys of the wrong type of all runs."""
        return wrong_shared(self._client, self._prefix)

    def _run(self, info: RunInfo, alive: frozenset[str]) -> Asked:
        names = RunKeys(info.run_id, self._prefix)
        try:
            return wrong_keys(self._client, names) or self._asked(info, alive)
        except NoPermissionError:
            raise
        except Unavailable:
            # The key got this type just now.
            return wrong_keys(self._client, names)
        except (ResponseError, UnknownSchema) as error:
            return error

    def _alive(self) -> frozenset[str]:
        key = keys.workers(self._prefix)
        # The clock that decides which workers are alive.
        seconds, _ = owner(self._client, key).time()
        members = cast("list[bytes]", self._client.zrange(key, seconds * 1000, "+inf", byscore=True))
        return frozenset(worker.decode("utf-8", "replace") for worker in members)

    def _asked(self, info: RunInfo, alive: frozenset[str]) -> Run:
        names = RunKeys(info.run_id, self._prefix)
        group = self._group(names)
        view = self._reader.counters(info.run_id)
        return Run(
            view=view,
            registered=info.last_activity is not None,
            group=group,
            asked_group=self.refused is None,
            dead_letters=self._letters(names),
            waited_s=None if view.is_current else self._waited(names, view),
            alive=alive,
        )

    def _group(self, names: RunKeys) -> Group | None:
        try:
            groups = self._client.xinfo_groups(names.events)
        except NoPermissionError as error:
            self.refused = error
            return None
        except ResponseError as error:
            _must_be_missing(error)
            return None
        found = [one for one in groups if one["name"] == GROUP.encode()]
        return Group(found[0]["consumers"], found[0]["pending"], found[0].get("lag")) if found else None

    def _letters(self, names: RunKeys) -> int:
        try:
            return int(self._client.xinfo_stream(names.dead)["length"])
        except ResponseError as error:
            _must_be_missing(error)
            return 0

    def _waited(self, names: RunKeys, view: Snapshot) -> float:
        after = ZERO if view.is_torn else view.version
        first = cast("list[Any]", self._client.xrange(names.events, min=f"({after}", count=1))
        since_ms = int(first[0][0].partition(b"-")[0]) if first else view.server_time_s * 1000
        return max(0.0, view.server_time_s - since_ms / 1000)


def _must_be_missing(error: ResponseError) -> None:
    """Raise an error of the server, unless the stream does not exist."""
    if "no such key" not in str(error):
        raise error
