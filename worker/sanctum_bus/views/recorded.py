"""The view of a recording that was folded without a server."""

from collections.abc import Iterable

from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.fold.changes import Changes
from sanctum_bus.protocol.entry import Fields
from sanctum_bus.protocol.schema import SCHEMA_VERSION
from sanctum_bus.reader import LogLine, Snapshot
from sanctum_bus.views.build import build
from sanctum_bus.views.model import RunView


def recorded_view(name: str, aggregate: Aggregate, changes: Changes) -> RunView:
    """Return the view of an offline fold.

    Args:
        name: stands for the run.
        aggregate: the fold.
        changes: what it has not yet written: the log lines of the view.
    """
    counters = aggregate.counters
    snapshot = Snapshot(
        run_id=name,
        version=aggregate.version,
        schema=SCHEMA_VERSION,
        sections=aggregate.state.sections,
        names=frozenset(aggregate.state.sections),
        events=counters.events,
        parked=counters.parked,
        duplicates=counters.duplicates,
        lost=counters.lost,
    )
    return build(snapshot, _log(changes.lines), recorded=True)


def _log(lines: Iterable[tuple[str, Fields]]) -> list[LogLine]:
    return [
        LogLine(
            id=line_id,
            type=str(fields.get("type", "")),
            at=fields.get("at"),
            env_id=fields.get("env_id"),
            slot_id=fields.get("slot_id"),
            blueprint_id=fields.get("blueprint_id"),
            episode=fields.get("episode"),
            message=str(fields.get("message", "")),
            data=fields.get("data", {}),
            lost=fields.get("lost", 0),
            dropped=fields.get("dropped", 0),
            trimmed=fields.get("trimmed", 0),
        )
        for line_id, fields in lines
    ]
