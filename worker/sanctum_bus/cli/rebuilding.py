"""`rebuild`: folding a run anew."""

from sanctum_bus.cli.confirm import confirm
from sanctum_bus.cli.output import console, print_json
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import connect, redacted
from sanctum_bus.ops.rebuild import rebuild_run
from sanctum_bus.ops.runs import must_exist
from sanctum_bus.worker.settings import load

#: Seconds that the server may take to put a large snapshot in its place.
_TIMEOUT_S = 60.0


def rebuild(place: ServerTarget, run_id: str, *, partial: bool, sure: bool, as_json: bool) -> None:
    """Rebuild a run, once the person is sure.

    Raises:
        BadInput: nobody is there to ask, or there is no such run.
        Failed: the person is not sure.
        NotNow: it cannot be done as things are.
    """
    keys = place.keys(run_id)
    settings = load(redis_url=place.url, key_prefix=place.prefix)
    with place.asking(), connect(place.url, timeout_s=_TIMEOUT_S) as client:
        must_exist(client, keys)
        confirm(
            f"Fold run {run_id} on {redacted(place.url)} anew, and replace its snapshot?",
            f"run {run_id} is not rebuilt",
            sure=sure,
        )
        built = rebuild_run(client, keys, settings, partial=partial)
    if as_json:
        print_json({"run_id": run_id, **built._asdict()})
        return
    missing = f"; {built.missing:,} entries were gone" if built.missing else ""
    console().print(
        f"run {run_id} is rebuilt up to {built.version}: {built.events:,} events folded, {built.parked:,} parked{missing}"
    )
