"""`fold`: recorded telemetry folded without a server."""

from pathlib import Path
from typing import Annotated

import typer

from sanctum_bus.cli import sections
from sanctum_bus.cli.inputs import STDIN, Inputs
from sanctum_bus.cli.options import (
    FilesArgument,
    JsonOption,
    StrictOption,
    requires,
)
from sanctum_bus.cli.output import complain, print_json
from sanctum_bus.fold import offline
from sanctum_bus.views import fields
from sanctum_bus.views.recorded import recorded_view

#: Examples at the end of the help.
EXAMPLES = ("sanctum fold events.jsonl.gz", "sanctum fold events.jsonl.gz -s policy --json")


def command(
    files: FilesArgument,
    section: Annotated[
        list[str] | None,
        typer.Option(
            "--section",
            "-s",
            metavar="SECTION",
            show_default=False,
            help="Only these sections. Repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
    strict: StrictOption = False,
) -> None:
    """Fold recorded telemetry without a server and show the result."""
    requires("--strict", "--json", given=strict, present=as_json)
    fold(files, section or [], as_json=as_json, strict=strict)


def fold(files: list[str], patterns: list[str], *, as_json: bool, strict: bool) -> None:
    """Fold recordings without a server and print the result.

    Raises:
        InvalidArgument: a file cannot be read, or a pattern matches no section.
    """
    source = Inputs(files)
    aggregate = offline.fold_records(iter(source))
    changes = aggregate.drain_changes()
    for entry_id, reason, _ in changes.parked:
        complain(f"event {entry_id.partition('-')[2]} cannot be folded: {reason}")
    name = "standard input" if files[0] == STDIN else _stem(files[0])
    run = recorded_view(name, aggregate, changes)
    chosen = fields.choose(run.sections, patterns)
    if as_json:
        print_json(sections.as_json(run.header, chosen), strict=strict)
    elif patterns:
        sections.print_sections(chosen)
    else:
        sections.print_picture(run)


def _stem(name: str) -> str:
    return Path(name).name.removesuffix(".gz").removesuffix(".jsonl")
