"""`dead-letters`: lists, requeues and deletes entries that could not be folded."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgpack
import typer

from sanctum_bus.cli import target
from sanctum_bus.cli.confirm import confirm
from sanctum_bus.cli.options import (
    JsonOption,
    RunArgument,
    YesOption,
)
from sanctum_bus.cli.output import complain, print_json, show, table
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import redacted
from sanctum_bus.errors import CommandFailed
from sanctum_bus.events.normalize import normalize
from sanctum_bus.ops import dead_letters, runs
from sanctum_bus.ops.dead_letters import RequeueResult
from sanctum_bus.reader import DeadLetter, Reader
from sanctum_bus.views.format import printable

IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID...]",
        show_default=False,
        help="With --requeue or --delete: entry IDs from the first column of the list, or `all`.",
    ),
]
RequeueOption = Annotated[
    bool,
    typer.Option("--requeue", help="Put dead letters back into the stream, each once, for a worker to fold."),
]
DeleteOption = Annotated[
    bool, typer.Option("--delete", help="Delete dead letters. A rebuild may find the entries again.")
]

#: Examples at the end of the help.
EXAMPLES = ("sanctum dead-letters my-run", "sanctum dead-letters my-run --requeue all")


def command(
    ctx: typer.Context,
    run: RunArgument,
    ids: IdsArgument = None,
    *,
    requeue: RequeueOption = False,
    delete: DeleteOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """List, requeue or delete the dead letters of a run."""
    if requeue and delete:
        raise typer.BadParameter("give either --requeue or --delete")
    if (requeue or delete) != bool(ids):
        raise typer.BadParameter(
            "--requeue and --delete require entry IDs or 'all', and IDs require one of them"
        )
    server, wanted = target.of(ctx), None if ids == ["all"] else ids
    if requeue:
        requeue_letters(server, run, wanted, as_json=as_json)
    elif delete:
        delete_letters(server, run, wanted, assume_yes=yes, as_json=as_json)
    else:
        list_letters(server, run, as_json=as_json)


#: Entries of one page.
_PAGE = 200

#: Characters of an entry's content to show; the JSON has all of it.
_MOST_CHARS = 400


def list_letters(server: ServerTarget, run_id: str, *, as_json: bool) -> None:
    """Print the dead letters of a run, the oldest first."""
    with server.reader() as reader:
        if as_json:
            for entry in _entries(reader, run_id):
                print_json(_as_json(entry))
            return
        found = list(_entries(reader, run_id))
        parked = reader.snapshot(run_id).parked
    if found:
        rows = [
            (entry.source_id or entry.id, entry.reason, _type(entry), _contents(entry)) for entry in found
        ]
        show(table(("entry", "reason", "type", "contents"), rows))
    if not parked:
        complain(f"run {run_id} has no dead letters")
    elif len(found) < parked:
        complain(
            f"{len(found):,} of {parked:,} dead letters of run {run_id} are kept; the others were requeued, deleted or have expired"
        )


def _entries(reader: Reader, run_id: str) -> Iterator[DeadLetter]:
    after = "0-0"
    while page := reader.dead_letters(run_id, after=after, count=_PAGE):
        yield from page
        after = page[-1].id


def _as_json(entry: DeadLetter) -> dict[str, Any]:
    fields = {name: _text_or_bytes(value) for name, value in entry.fields.items()}
    return {"id": entry.id, "source_id": entry.source_id, "reason": entry.reason, "fields": fields}


def _text_or_bytes(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return normalize(value)


def _type(entry: DeadLetter) -> str:
    return printable(entry.fields.get("type", b"").decode("utf-8", "replace"), 60)


def _contents(entry: DeadLetter) -> str:
    """Return the readable content of an entry."""
    packed = entry.fields.get("event")
    if packed is not None:
        try:
            return printable(msgpack.unpackb(packed, strict_map_key=False), _MOST_CHARS)
        except Exception:  # noqa: BLE001  # the entry is malformed, otherwise it would not be here
            return printable(packed, _MOST_CHARS)
    shown = (f"{name}={value.decode('utf-8', 'backslashreplace')}" for name, value in entry.fields.items())
    return printable(" ".join(shown), _MOST_CHARS)


def requeue_letters(server: ServerTarget, run_id: str, wanted: list[str] | None, *, as_json: bool) -> None:
    """Put dead letters back into the stream.

    Raises:
        CommandFailed: some of them could not be put back; the others were.
    """
    keys = server.keys(run_id)
    with server.client() as client:
        handled = dead_letters.requeue(client, keys, wanted)
    if as_json:
        print_json({"run_id": run_id, "requeued": dict(handled.done), **_left(handled)})
    elif handled.done:
        show(table(("entry", "requeued as"), handled.done.items()))
    _complain(run_id, wanted, handled, "requeued")


def delete_letters(
    server: ServerTarget, run_id: str, wanted: list[str] | None, *, assume_yes: bool, as_json: bool
) -> None:
    """Delete dead letters after confirmation.

    Raises:
        InvalidArgument: standard input is not a terminal.
        CommandFailed: the person declined, or some dead letters do not exist; the others were deleted.
    """
    keys = server.keys(run_id)
    with server.client() as client:
        runs.require_run(client, keys)
        what = "all dead letters" if wanted is None else f"{len(wanted):,} dead letters"
        confirm(
            f"Delete {what} of run {run_id} on {redacted(server.url)}?",
            f"no dead letter of run {run_id} was deleted",
            assume_yes=assume_yes,
        )
        handled = dead_letters.delete(client, keys, wanted)
    if as_json:
        print_json({"run_id": run_id, "deleted": list(handled.done), **_left(handled)})
    elif handled.done:
        show(table(("deleted",), [(source_id,) for source_id in handled.done]))
    _complain(run_id, wanted, handled, "deleted")


def _left(handled: RequeueResult) -> dict[str, object]:
    return {"missing": handled.missing, "refused": handled.refused}


def _complain(run_id: str, wanted: list[str] | None, handled: RequeueResult, done: str) -> None:
    if wanted is None and not (handled.done or handled.refused):
        complain(f"run {run_id} has no dead letters")
    for source_id, reason in handled.refused.items():
        complain(f"entry {source_id} cannot be requeued: {reason}")
    if handled.missing:
        raise CommandFailed(
            f"run {run_id} has no dead letter {', '.join(handled.missing)}: it was requeued or deleted before, or never existed"
        )
    if handled.refused:
        raise CommandFailed(f"{len(handled.refused):,} dead letters of run {run_id} were not {done}")
