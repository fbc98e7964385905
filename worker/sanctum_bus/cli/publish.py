"""`publish`: recorded telemetry into a run."""

import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sanctum_bus.cli import target
from sanctum_bus.cli.inputs import Inputs, lines_in
from sanctum_bus.cli.options import (
    FilesArgument,
    JsonOption,
    SpeedOption,
    speed_of,
)
from sanctum_bus.cli.output import complain, console, print_json
from sanctum_bus.cli.replay import losses, publisher_for, replay, settle
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.errors import CommandFailed, SanctumError
from sanctum_bus.events.recordings import Record
from sanctum_bus.publisher import Publisher

#: Examples at the end of the help.
EXAMPLES = (
    "sanctum publish events.jsonl.gz --run demo",
    "tail -f events.jsonl | sanctum publish - --run demo",
)


def command(
    ctx: typer.Context,
    files: FilesArgument,
    run: Annotated[str, typer.Option("--run", metavar="RUN", show_default=False, help="The run.")],
    speed: SpeedOption = "max",
    as_json: JsonOption = False,
) -> None:
    """Publish recorded telemetry to a run."""
    publish(target.of(ctx), files, run, speed_of(speed), as_json=as_json)


def publish(
    server: ServerTarget, files: list[str], run_id: str, speed: float | None, *, as_json: bool
) -> None:
    """Publish recordings to a run.

    Raises:
        CommandFailed: not all events arrived.
        InvalidArgument: a file cannot be opened, or the run ID is invalid.
    """
    server.keys(run_id)
    source, began = Inputs(files), time.monotonic()
    publisher = publisher_for(server, run_id)
    try:
        with publisher:
            for _ in _with_progress(replay(source, publisher, speed), files):
                pass
            settle(publisher)
    except SanctumError as error:
        raise CommandFailed(f"{error}; {_left_behind(publisher, run_id)}") from error
    except KeyboardInterrupt:
        complain(f"interrupted before all events were published; {_left_behind(publisher, run_id)}")
        raise
    stats, seconds = publisher.stats, time.monotonic() - began
    said = {"run_id": run_id, "seconds": round(seconds, 3), "bad_lines": source.bad}
    said |= {
        name: getattr(stats, name) for name in ("emitted", "sent", "dropped", "unconvertible", "rejected")
    }
    if as_json:
        print_json(said)
    else:
        bad = f"; {source.bad:,} lines were not events" if source.bad else ""
        console().print(f"{stats.sent:,} events published to run {run_id} in {seconds:.1f} s{bad}")
    if losses(stats):
        raise CommandFailed(f"not all events were published to run {run_id}: {losses(stats)}")


def _left_behind(publisher: Publisher, run_id: str) -> str:
    """Return what a failure leaves in the run, and what that means for another attempt."""
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
