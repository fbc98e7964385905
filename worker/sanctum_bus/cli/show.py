"""`show`: the snapshot of a run."""

from typing import Annotated

import typer

from sanctum_bus.cli import sections, target
from sanctum_bus.cli.options import JsonOption, RunArgument, StrictOption, requires
from sanctum_bus.cli.output import complain, print_json
from sanctum_bus.cli.runs import read_counters
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.views import fields
from sanctum_bus.views.build import build

#: Examples at the end of the help.
EXAMPLES = (
    "sanctum show my-run",
    "sanctum show my-run policy 'env:*'",
    "sanctum show my-run --json --strict | jq .sections.batch",
)


def command(
    ctx: typer.Context,
    run: RunArgument,
    section: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SECTION...]",
            show_default=False,
            help="Names or patterns of sections, such as policy or 'env:*'.",
        ),
    ] = None,
    as_json: JsonOption = False,
    strict: StrictOption = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            show_default=False,
            help="Print only sections that changed after this version. If the generation differs from your last one, read all sections.",
        ),
    ] = None,
) -> None:
    """Show the snapshot of a run."""
    requires("--strict", "--json", given=strict, present=as_json)
    show_run(target.of(ctx), run, section or [], since, as_json=as_json, strict=strict)


#: Findings that concern each section of a run.
_OF_THE_WHOLE = frozenset({"torn", "not_folded"})

#: Log lines below a picture of a run.
_TAIL = 12


def show_run(
    server: ServerTarget,
    run_id: str,
    patterns: list[str],
    since: str | None,
    *,
    as_json: bool,
    strict: bool,
) -> None:
    """Print sections of a snapshot, or a picture of the run.

    Args:
        server: the server.
        run_id: the run.
        patterns: patterns of sections; all sections if empty.
        since: print only sections that changed after this version.
        as_json: print JSON for tools.
        strict: write NaN and infinities as strings.
    """
    with server.reader() as reader:
        # A version is unique only within a generation; the output has the generation.
        mark = None if since is None else (since, read_counters(reader, run_id).generation)
        snapshot = reader.snapshot(run_id, since=mark)
        plain = not (as_json or patterns or since)
        lines = reader.log(run_id, newest=_TAIL) if plain else []
    run = build(snapshot, lines)
    chosen = fields.choose(snapshot.sections, patterns, snapshot.names)
    if as_json:
        more = {"since": since, "names": sorted(snapshot.names)} if since else {}
        print_json(sections.as_json(run.header, chosen) | more, strict=strict)
    elif plain:
        sections.print_picture(run)
    else:
        for finding in run.findings:
            if finding.kind in _OF_THE_WHOLE:
                complain(f"run {run_id}: {finding.text}")
        sections.print_sections(chosen)
