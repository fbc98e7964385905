"""`runs`, `show` and `log`: what a reader sees."""

import time
from collections.abc import Iterator

from rich.text import Text

from sanctum_bus.cli.output import Row, complain, console, print_json, show, table
from sanctum_bus.cli.sections import chosen, picture_of, print_picture
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import Unavailable, UnknownRun, UnknownSchema
from sanctum_bus.reader import LogLine, Reader, Snapshot
from sanctum_bus.views.format import UNKNOWN, count, date, duration
from sanctum_bus.views.tui.panels import log_line
from sanctum_bus.views.tui.style import DIM
from sanctum_bus.views.tui.view import Line

#: Stands for the schema of a snapshot that another version of Sanctum wrote: `show` says more.
_UNKNOWN_SCHEMA = -1

#: Likewise, of a run that cannot be read.
_UNREADABLE = -2

#: Log lines below a picture of a run.
_TAIL = 12


def runs(place: ServerTarget, *, as_json: bool) -> None:
    """Print the runs on the server, the one that was active last first."""
    with place.reader() as reader:
        found = [(run, *_looked_at(reader, run.run_id)) for run in reader.runs()]
    if as_json:
        for run, seen, error in found:
            facts = {"state": _state(seen), "error": error} if error else _facts(seen)
            print_json({"run_id": run.run_id, "last_activity": run.last_activity, **facts})
        return
    if not found:
        complain(f"there is no run yet on this server (keys begin with {place.prefix})")
        return
    # The server's clock, which the times are of.
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


#: Stands for the time of a run that is not in the index.
UNREGISTERED = "never registered"


def _looked_at(reader: Reader, run_id: str) -> tuple[Snapshot, str]:
    """Return a run's counters, and why they cannot be read: one run in trouble hides no other."""
    try:
        return _counters(reader, run_id), ""
    except Unavailable as error:
        return Snapshot(run_id, schema=_UNREADABLE), str(error)


def _counters(reader: Reader, run_id: str) -> Snapshot:
    """Return a run's counters, without its sections."""
    try:
        return reader.head(run_id)
    except UnknownRun:
        # Its name is in the index, and nothing else of it is left.
        return Snapshot(run_id)
    except UnknownSchema:
        return Snapshot(run_id, schema=_UNKNOWN_SCHEMA)


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


def show_run(
    place: ServerTarget,
    run_id: str,
    patterns: list[str],
    since: str | None,
    *,
    as_json: bool,
    strict: bool,
) -> None:
    """Print a snapshot, or a picture of it.

    Args:
        place: the server.
        run_id: the run.
        patterns: which sections; all where there are none.
        since: only sections that changed after this version.
        as_json: for tools.
        strict: NaN and infinities as text.
    """
    with place.reader() as reader:
        # A version alone does not say of which history it is; the generation in the answer tells the caller.
        mark = None if since is None else (since, _counters(reader, run_id).generation)
        snapshot = reader.snapshot(run_id, since=mark)
        plain = not (as_json or patterns or since)
        lines = reader.log(run_id, newest=_TAIL) if plain else []
    picture = picture_of(snapshot, lines)
    sections = chosen(snapshot.sections, patterns, snapshot.names)
    if as_json:
        more = {"since": since, "names": sorted(snapshot.names)} if since else {}
        print_json(picture.as_json(sections) | more, strict=strict)
        return
    for notice in picture.notices if not plain else ():
        complain(f"run {run_id}: {notice}")
    print_picture(picture, None if plain else sections)


def log(
    place: ServerTarget, run_id: str, newest: int, after: str | None, *, follow: bool, as_json: bool
) -> None:
    """Print lines of the seed event log, and with `follow` each as it comes until Ctrl-C."""
    with place.reader() as reader:
        try:
            for line in _lines(reader, run_id, newest, after, follow=follow):
                _print_line(line, as_json=as_json)
        except KeyboardInterrupt:
            if not follow:
                raise


def _lines(reader: Reader, run_id: str, newest: int, after: str | None, *, follow: bool) -> Iterator[LogLine]:
    if after is None:
        tail = reader.log(run_id, newest=newest) if newest else []
        yield from tail
        after = tail[-1].id if tail else ("$" if not newest else "0-0")
    elif not follow:
        while page := reader.log(run_id, after=after):
            yield from page
            after = page[-1].id
    if follow:
        yield from reader.follow_log(run_id, after=after)


def _print_line(line: LogLine, *, as_json: bool) -> None:
    if as_json:
        names = ("id", "type", "at", "env_id", "slot_id", "blueprint_id", "episode", "message", "data")
        missing = {
            name: getattr(line, name) for name in ("lost", "dropped", "trimmed") if getattr(line, name)
        }
        print_json({name: getattr(line, name) for name in names} | missing)
        return
    shown = Text(f"{date(line.at)[:11]}", style=DIM)
    shown.append_text(log_line(Line(line.type, line.at, line.env_id, line.episode, line.message)))
    if line.lost:
        shown.append(f"  ({line.lost:,} events lost before it)", style="bold red")
    if line.trimmed:
        shown.append(f"  ({line.trimmed:,} or more entries trimmed unread before it)", style="bold red")
    console().print(shown, soft_wrap=True)
