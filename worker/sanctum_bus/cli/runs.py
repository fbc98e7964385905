"""`runs`: the runs on the server."""

import time

import typer
from rich.text import Text

from sanctum_bus.cli import target
from sanctum_bus.cli.options import (
    JsonOption,
)
from sanctum_bus.cli.output import Row, complain, print_json, show, table
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import Unavailable, UnknownRun, UnknownSchema
from sanctum_bus.reader import Reader, Snapshot
from sanctum_bus.views.format import UNKNOWN, count, duration

#: Examples at the end of the help.
EXAMPLES = ("sanctum runs", "sanctum runs --json | jq -r .run_id")


def command(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the runs on the server."""
    list_runs(target.of(ctx), as_json=as_json)


#: Schema number that stands for a run that cannot be read.
_UNREADABLE = -2


def list_runs(server: ServerTarget, *, as_json: bool) -> None:
    """Print the runs on the server, most recently active first."""
    with server.reader() as reader:
        found = [(run, *_looked_at(reader, run.run_id)) for run in reader.runs()]
    if as_json:
        for run, seen, error in found:
            facts = {"state": _state(seen), "error": error} if error else _facts(seen)
            print_json({"run_id": run.run_id, "last_activity": run.last_activity, **facts})
        return
    if not found:
        complain(f"no runs on this server (key prefix {server.prefix})")
        return
    # The times are of the server's clock.
    now = max(seen.server_time_s for _, seen, _ in found) or time.time()
    rows: list[Row] = [
        (
            Text(run.run_id, style="bold"),
            UNREGISTERED if run.last_activity is None else f"{duration(now - run.last_activity)} ago",
            _state(seen),
            *((UNKNOWN,) * 3 if error else map(count, (seen.events, seen.parked, sum(seen.lost.values())))),
        )
        for run, seen, error in found
    ]
    show(table(("run", "last activity", "state", ">events", ">parked", ">lost"), rows))
    for _, _, error in found:
        if error:
            complain(error)


#: Text for the time of a run that is not in the index.
UNREGISTERED = "never registered"


def _looked_at(reader: Reader, run_id: str) -> tuple[Snapshot, str]:
    """Return a run's counters, and why they cannot be read. One unreadable run must not hide the others."""
    try:
        return read_counters(reader, run_id), ""
    except Unavailable as error:
        return Snapshot(run_id, schema=_UNREADABLE), str(error)


def _facts(seen: Snapshot) -> dict[str, int | str]:
    return {
        "version": seen.version,
        "generation": seen.generation,
        "events": seen.events,
        "parked": seen.parked,
        "duplicates": seen.duplicates,
        "lost": sum(seen.lost.values()),
        "state": _state(seen),
    }


def _state(seen: Snapshot) -> str:
    if seen.schema == _UNKNOWN_SCHEMA:
        return "unknown schema"
    if seen.schema == _UNREADABLE:
        return "unreadable"
    if seen.is_torn:
        return "torn"
    if not seen.generation:
        return "not folded" if seen.last_id else "gone"
    if not seen.is_current:
        return "behind"
    return "ended" if seen.producers and seen.closed >= seen.producers.keys() else "current"


#: Schema number that stands for a snapshot of another version of Sanctum; `show` prints the details.
_UNKNOWN_SCHEMA = -1


def read_counters(reader: Reader, run_id: str) -> Snapshot:
    """Return a run's counters, without its sections."""
    try:
        return reader.counters(run_id)
    except UnknownRun:
        # Only its name in the index is left.
        return Snapshot(run_id)
    except UnknownSchema:
        return Snapshot(run_id, schema=_UNKNOWN_SCHEMA)
