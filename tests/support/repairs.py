"""Helpers for tests of repairs: dead letters by their source, and a client with hooks around its scripts."""

from collections.abc import Callable
from typing import Any, cast

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from sanctum_bus.fold.offline import fold_entries
from sanctum_bus.ops.rebuild import RebuildResult, rebuild_run
from sanctum_bus.protocol.scripts import script
from tests.support.fold_run import Entry, entry
from tests.support.servers import Server
from tests.support.worker_rig import Side, assert_is_fold, drain, settings_of, side_of, story

#: An entry that no worker can fold.
HOPELESS: Entry = {b"type": b"X", b"event": b"\xc1"}


def misnumbered(number: int) -> Entry:
    """An event that is parked only because of its sequence number, so that it is folded when it is requeued without one."""
    return entry("BACK", {"n": number}, event_id=f"b{number}", timestamp=float(number), producer="q", seq="x")


def letters(side: Side) -> list[str]:
    """The dead letters, by the IDs that their entries had in the stream."""
    return [fields[b"source_id"].decode() for fields in side.dead()]


def assert_is_right(side: Side) -> None:
    """Assert that the snapshot is the fold of the stream, and that the dead letters are those that the fold has left."""
    assert_is_fold(side)
    expected = fold_entries(side.stream()).drain_changes().parked
    assert letters(side) == [parked.entry_id for parked in expected]


def counts(side: Side) -> list[int]:
    """The numbers of entries, folded events and parked entries."""
    return [int(side.checkpoint(name)) for name in ("entries", "events", "parked")]


Hook = Callable[[], object]


_COUNTERS = (
    "version",
    "entries",
    "events",
    "parked",
    "duplicates",
    "lost",
    "lost_ranges",
    "producers",
    "closed",
)


def view(side: Side) -> dict[str, Any]:
    """Everything of a snapshot that does not depend on its writer."""
    return {
        "sections": side.sections(),
        "log": side.lines(side.keys.log),
        "batches": side.lines(side.keys.batches),
        "coverage": side.coverage(),
        "dead": side.dead(),
        "counters": {name: side.checkpoint(name) for name in _COUNTERS},
    }


def rebuild(server: Server, side: Side, *, partial: bool = False, **given: object) -> RebuildResult:
    """Rebuild the run, with the settings of its workers."""
    return rebuild_run(side.redis, side.keys, settings_of(server, **given), partial=partial)


def folded(server: Server, *more: Entry) -> Side:
    """A folded run that has everything that a run can have."""
    side = side_of(server)
    side.add([entry("OLD", {"a": 1}), *story(), *story()[2:4], *story(first=12), *more])
    drain(server)
    return side


class Hooked(Redis):
    """A client with hooks that are called just before or just after a script.

    Args:
        side: the run; its server is used.

    Attributes:
        before: script name -> hook.
        after: script name -> hook.
    """

    def __init__(self, side: Side) -> None:
        super().__init__(connection_pool=side.redis.connection_pool)
        names = ("mark_active", "requeue", "lock_run", "replace_snapshot")
        self._names = {script(name).digest: name for name in names} | {
            script(name).text: name for name in names
        }
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command, with the hooks before and after it; each hook is called once."""
        name = self._names.get(args[1], "") if args[0] in {"EVALSHA", "EVAL"} else ""
        self.before.pop(name, _nothing)()
        reply = cast("Any", super()).execute_command(*args, **options)
        self.after.pop(name, _nothing)()
        return reply


def _nothing() -> None:
    """Do nothing."""


def cut() -> None:
    """Break the connection."""
    raise NoConnection("cut by the test")
