"""`rm`: the end of a run."""

import sys

import typer

from sanctum_bus import admin
from sanctum_bus.cli.output import console
from sanctum_bus.cli.place import Place
from sanctum_bus.connection import redacted
from sanctum_bus.errors import BadInput


def remove(place: Place, run_id: str, *, sure: bool) -> None:
    """Remove a run, once the person is sure.

    Raises:
        BadInput: nobody is there to ask, or there is no such run.
        Abort: the person is not sure.
    """
    keys = place.keys(run_id)
    if not sure and not sys.stdin.isatty():
        raise BadInput(f"run {run_id} is not removed: nobody is there to ask; say --yes if you are sure")
    with place.reader() as reader:
        seen = reader.snapshot(run_id)
    if not sure:
        what = f"{seen.events:,} events folded into {len(seen.names):,} sections"
        typer.confirm(
            f"Remove run {run_id} ({what}) from {redacted(place.url)} for good?", abort=True, err=True
        )
    with place.client() as client:
        removed = admin.remove_run(client, keys)
    console().print(f"run {run_id} is removed ({removed:,} keys)")
