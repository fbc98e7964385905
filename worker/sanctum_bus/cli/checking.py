"""The commands that check workers and what they meet: what each is called, takes and says of itself; see `commands`."""

from typing import Annotated

import typer

from sanctum_bus.cli.options import JsonOption, Where, is_given


def config(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Print every setting: the value in force, and where it comes from."""
    from sanctum_bus.cli import config as module

    where = ctx.find_object(Where) or Where()
    module.config(
        where.redis if is_given(ctx, "redis") else None,
        where.prefix if is_given(ctx, "prefix") else None,
        as_json=as_json,
    )


def doctor(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Check the server and the runs on it, and say what to do.

    Exit status: 0 all is well, notes apart; 1 something is wrong; 2 the server could not be asked.
    """
    from sanctum_bus.cli import doctor as module
    from sanctum_bus.cli import target

    module.doctor(target.resolve(ctx.find_object(Where) or Where()), as_json=as_json)


def workers(
    ctx: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also the runs that each folds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the workers that are alive: since when, how many runs, how far behind, last error."""
    from sanctum_bus.cli import target
    from sanctum_bus.cli import workers as module

    module.workers(target.resolve(ctx.find_object(Where) or Where()), as_json=as_json, verbose=verbose)
