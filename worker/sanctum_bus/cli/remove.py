"""`rm`: the end of a run."""

from sanctum_bus import admin
from sanctum_bus.cli.output import console
from sanctum_bus.cli.place import Place
from sanctum_bus.cli.sure import make_sure
from sanctum_bus.connection import redacted
from sanctum_bus.errors import NotNow
from sanctum_bus.reader import Reader


def remove(place: Place, run_id: str, *, sure: bool) -> None:
    """Remove a run, once the person is sure.

    Raises:
        BadInput: nobody is there to ask, or there is no such run.
        Failed: the person is not sure.
    """
    keys = place.keys(run_id)
    with place.reader() as reader:
        what = _content(reader, run_id)
    make_sure(
        f"Remove run {run_id} ({what}) from {redacted(place.url)} for good?",
        f"run {run_id} is not removed",
        sure=sure,
    )
    with place.client() as client:
        removed = admin.remove_run(client, keys)
    console().print(f"run {run_id} is removed ({removed:,} keys)")


def _content(reader: Reader, run_id: str) -> str:
    try:
        seen = reader.snapshot(run_id)
    except NotNow as error:
        # What cannot be read can be removed all the same.
        return str(error)
    return f"{seen.events:,} events folded into {len(seen.names):,} sections"
