"""`doctor`: problems of the server and its runs, and their remedies."""

from collections.abc import Iterable
from itertools import groupby

import typer
from rich.text import Text

from sanctum_bus.cli import target
from sanctum_bus.cli.options import JsonOption
from sanctum_bus.cli.output import Row, complain, console, print_json, show, table
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import redacted
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops.doctor import Finding, Level, examine

#: Examples at the end of the help.
EXAMPLES = ("sanctum doctor", "sanctum doctor --json | jq .findings")


def command(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Check the server and its runs, and print what to do.

    Exit status: 0 all checks passed (notes are allowed); 1 a check failed; 2 the server could not be checked.
    """
    doctor(target.of(ctx), as_json=as_json)


#: Exit status if a check failed, and if the server could not be checked.
WRONG, NOT_ASKED = 1, 2

#: Places to show for one check; the JSON has all.
_MOST = 10

_STYLES = {Level.NOTE: "cyan", Level.WARNING: "yellow", Level.FAULT: "bold red"}


def doctor(server: ServerTarget, *, as_json: bool) -> None:
    """Print the findings, most severe first, and one line for all passing checks.

    Raises:
        Exit: a check failed (1), or the server could not be checked (2).
    """
    try:
        with server.client() as client:
            found = examine(client, server.prefix)
    except CommandFailed as error:
        complain(str(error))
        raise typer.Exit(NOT_ASKED) from None
    worst = max((one.level for one in found), default=Level.OK)
    if as_json:
        _print_json(server, worst, found)
    else:
        _print(server, found)
    if worst > Level.NOTE:
        raise typer.Exit(WRONG)


def _print_json(server: ServerTarget, worst: Level, found: Iterable[Finding]) -> None:
    findings = [one._asdict() | {"level": one.level.word} for one in found]
    print_json(
        {"server": redacted(server.url), "prefix": server.prefix, "level": worst.word, "findings": findings}
    )


def _print(server: ServerTarget, found: list[Finding]) -> None:
    bad = sorted((one for one in found if one.level > Level.OK), key=lambda one: -one.level)
    if bad:
        show(table(("level", "check", "where", "problem", "what to do"), _rows(bad)))
    troubled = {one.check for one in bad}
    fine = list(dict.fromkeys(one.check for one in found if one.check not in troubled))
    console().print(
        f"{len(fine):,} checks passed ({redacted(server.url)}){': ' if fine else ''}{', '.join(fine)}",
        soft_wrap=True,
    )


def _rows(bad: list[Finding]) -> list[Row]:
    rows: list[Row] = []
    for (level, check), some in groupby(bad, key=lambda one: (one.level, one.check)):
        alike = list(some)
        for one in alike[:_MOST]:
            matter = f"{one.seen}; {one.why}" if one.why else one.seen
            rows.append((Text(level.word, style=_STYLES[level]), check, one.where, matter, one.remedy))
        if len(alike) > _MOST:
            rows.append(("", "", f"and {len(alike) - _MOST:,} more", "", "--json lists all"))
    return rows
