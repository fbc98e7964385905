"""The commands that mend a run: what each is called, takes and says of itself; see `commands`."""

from typing import Annotated

import typer

from sanctum_bus.cli.options import JsonOption, RunArgument, Where

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID...]",
        show_default=False,
        help="With --requeue or --drop: which, by the first column of the list; or all.",
    ),
]
RequeueOption = Annotated[
    bool, typer.Option("--requeue", help="Put them back into the stream, each once; a worker folds them.")
]
DropOption = Annotated[
    bool, typer.Option("--drop", help="Drop them for good. A rebuild may find them again.")
]


def dead(
    ctx: typer.Context,
    run: RunArgument,
    ids: IdsArgument = None,
    *,
    requeue: RequeueOption = False,
    drop: DropOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the entries of a run that could not be folded, and why; put them back, or drop them."""
    from sanctum_bus.cli import target

    if requeue and drop:
        raise typer.BadParameter("give either --requeue or --drop")
    if (requeue or drop) != bool(ids):
        raise typer.BadParameter("ids go with --requeue or --drop, and these with ids or all")
    where = target.resolve(ctx.find_object(Where) or Where())
    wanted = None if ids == ["all"] else ids
    if requeue:
        from sanctum_bus.cli import letters

        letters.requeue(where, run, wanted, as_json=as_json)
    elif drop:
        from sanctum_bus.cli import letters

        letters.drop(where, run, wanted, sure=yes, as_json=as_json)
    else:
        from sanctum_bus.cli import dead as module

        module.dead(where, run, as_json=as_json)


def rebuild(
    ctx: typer.Context,
    run: RunArgument,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Even where the stream was trimmed or begun anew: what is missing is counted as lost.",
        ),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fold a run anew from the first entry of its stream; the old snapshot stays until the new one is there."""
    from sanctum_bus.cli import rebuilding as module
    from sanctum_bus.cli import target

    where = target.resolve(ctx.find_object(Where) or Where())
    module.rebuild(where, run, partial=partial, sure=yes, as_json=as_json)
