"""`publish` and `fold`: recorded telemetry into a run, or folded on the spot."""

import time
from collections.abc import Iterator
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sanctum_bus.cli.inputs import STDIN, Inputs, lines_in
from sanctum_bus.cli.output import complain, console, print_json
from sanctum_bus.cli.replay import losses, publisher_for, replay, settle
from sanctum_bus.cli.sections import Picture, chosen, print_picture
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import CommandFailed, SanctumError
from sanctum_bus.events.recordings import Record
from sanctum_bus.fold import offline
from sanctum_bus.fold.aggregate import Aggregate
from sanctum_bus.publisher import Publisher


def publish(
    place: ServerTarget, files: list[str], run_id: str, speed: float | None, *, as_json: bool
) -> None:
    """Publish recordings to a run.

    Raises:
        Failed: not everything arrived.
        BadInput: a file cannot be opened, or the run's name cannot be one.
    """
    place.keys(run_id)
    source, began = Inputs(files), time.monotonic()
    publisher = publisher_for(place, run_id)
    try:
        with publisher:
            for _ in _with_progress(replay(source, publisher, speed), files):
                pass
            settle(publisher)
    except SanctumError as error:
        raise CommandFailed(f"{error}; {_left_behind(publisher, run_id)}") from error
    except KeyboardInterrupt:
        complain(f"stopped before all was published; {_left_behind(publisher, run_id)}")
        raise
    stats, seconds = publisher.stats, time.monotonic() - began
    said = {"run_id": run_id, "seconds": round(seconds, 3), "bad_lines": source.bad}
    said |= {
        name: getattr(stats, name) for name in ("emitted", "sent", "dropped", "unconvertible", "rejected")
    }
    if as_json:
        print_json(said)
    else:
        bad = f"; {source.bad:,} lines were no events" if source.bad else ""
        console().print(f"{stats.sent:,} events published to run {run_id} in {seconds:.1f} s{bad}")
    if losses(stats):
        raise CommandFailed(f"not everything was published to run {run_id}: {losses(stats)}")


def _left_behind(publisher: Publisher, run_id: str) -> str:
    """Return in words what a failure leaves in the run, and what that means for another attempt."""
    sent = publisher.stats.sent
    if not sent:
        return "nothing was published"
    return (
        f"{sent:,} events were published to run {run_id} before that, "
        "and publishing them again, as another producer, would fold them a second time"
    )


def _with_progress(records: Iterator[Record], files: list[str]) -> Iterator[Record]:
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield from records
        return
    columns = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("publishing", total=lines_in(files))
        for record in records:
            progress.advance(task)
            yield record


def fold(files: list[str], patterns: list[str], *, as_json: bool, strict: bool) -> None:
    """Fold recordings without a server and print what comes of it.

    Raises:
        BadInput: a file cannot be read, or no section is called so.
    """
    source = Inputs(files)
    aggregate = offline.fold_records(iter(source))
    changes = aggregate.drain_changes()
    for entry_id, reason, _ in changes.parked:
        complain(f"event {entry_id.partition('-')[2]} cannot be folded: {reason}")
    name = "standard input" if files[0] == STDIN else _stem(files[0])
    picture = _picture(name, aggregate)
    picture = picture.with_lines([fields for _, fields in changes.lines])
    sections = chosen(picture.sections, patterns)
    if as_json:
        print_json(picture.as_json(sections), strict=strict)
    else:
        print_picture(picture, sections if patterns else None)


def _picture(name: str, aggregate: Aggregate) -> Picture:
    counters = aggregate.counters
    return Picture(
        run_id=name,
        version=aggregate.version,
        sections=aggregate.state.sections,
        events=counters.events,
        parked=counters.parked,
        duplicates=counters.duplicates,
        lost=sum(counters.lost.values()),
    )


def _stem(name: str) -> str:
    return Path(name).name.removesuffix(".gz").removesuffix(".jsonl")
