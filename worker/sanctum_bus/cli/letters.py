"""`dead --requeue` and `dead --drop`: what becomes of parked entries."""

from sanctum_bus.cli.confirm import confirm
from sanctum_bus.cli.output import complain, print_json, show, table
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import redacted
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops import dead_letters, runs
from sanctum_bus.ops.dead_letters import RequeueResult


def requeue(place: ServerTarget, run_id: str, wanted: list[str] | None, *, as_json: bool) -> None:
    """Put parked entries back.

    Raises:
        Failed: some of those that were asked for could not be put back; the others were.
    """
    keys = place.keys(run_id)
    with place.client() as client:
        handled = dead_letters.requeue(client, keys, wanted)
    if as_json:
        print_json({"run_id": run_id, "requeued": dict(handled.done), **_left(handled)})
    elif handled.done:
        show(table(("entry", "put back as"), handled.done.items()))
    _complain(run_id, wanted, handled, "put back")


def drop(place: ServerTarget, run_id: str, wanted: list[str] | None, *, sure: bool, as_json: bool) -> None:
    """Drop parked entries, once the person is sure.

    Raises:
        BadInput: nobody is there to ask.
        Failed: the person is not sure.
        Failed: some of those that were asked for are not there; the others were dropped.
    """
    keys = place.keys(run_id)
    with place.client() as client:
        runs.must_exist(client, keys)
        what = "every parked entry" if wanted is None else f"{len(wanted):,} parked entries"
        confirm(
            f"Drop {what} of run {run_id} on {redacted(place.url)} for good?",
            f"nothing of run {run_id} is dropped",
            sure=sure,
        )
        handled = dead_letters.drop(client, keys, wanted)
    if as_json:
        print_json({"run_id": run_id, "dropped": list(handled.done), **_left(handled)})
    elif handled.done:
        show(table(("dropped",), [(source_id,) for source_id in handled.done]))
    _complain(run_id, wanted, handled, "dropped")


def _left(handled: RequeueResult) -> dict[str, object]:
    return {"missing": handled.missing, "refused": handled.refused}


def _complain(run_id: str, wanted: list[str] | None, handled: RequeueResult, done: str) -> None:
    if wanted is None and not (handled.done or handled.refused):
        complain(f"run {run_id} has no parked entries")
    for source_id, reason in handled.refused.items():
        complain(f"entry {source_id} cannot be put back: {reason}")
    if handled.missing:
        raise CommandFailed(
            f"run {run_id} has no parked entry {', '.join(handled.missing)}: put back or dropped before, or never there"
        )
    if handled.refused:
        raise CommandFailed(f"{len(handled.refused):,} parked entries of run {run_id} were not {done}")
