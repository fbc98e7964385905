"""The commands: what each is called, takes and says of itself. What it does is imported when it runs."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sanctum_bus.cli.checking import config, doctor, workers
from sanctum_bus.cli.mending import dead, rebuild
from sanctum_bus.cli.options import (
    DemoSpeedOption,
    FilesArgument,
    JsonOption,
    RunArgument,
    SpeedOption,
    StrictOption,
    Where,
    examples,
    goes_with,
    is_given,
    speed_of,
)


class Command(NamedTuple):
    """One command.

    Args:
        run: its function; the docstring is its help.
        epilog: the end of its help.
    """

    name: str
    run: object
    epilog: str


def demo(
    speed: DemoSpeedOption = None,
    once: Annotated[bool, typer.Option("--once", help="Without a picture; ends with a summary.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server running at the end, until Ctrl-C.")
    ] = False,
) -> None:
    """Play a real recording through a server of its own, and show the run live."""
    from sanctum_bus.cli import demo as module

    module.demo(speed, once=once, keep=keep)


def server(
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, help="Port of 127.0.0.1; 0: a Unix socket that only this user may open."
        ),
    ] = 0,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="SANCTUM_STATE_DIR",
            file_okay=False,
            show_default=False,
            help="Where the data is; else ~/.local/state/sanctum.",
        ),
    ] = None,
) -> None:
    """Run a Redis or Valkey server for Sanctum, in the foreground."""
    from sanctum_bus.cli import serve

    serve.serve(state_dir, port)


def worker(
    ctx: typer.Context,
    drain: Annotated[
        bool, typer.Option("--drain", help="Fold what there is now, commit it, and end.")
    ] = False,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="RUN",
            show_default=False,
            help="With --drain: only this run; may be given again.",
        ),
    ] = None,
) -> None:
    """Fold every run there is and will be, until told to stop."""
    goes_with("--run", "--drain: a worker that stays folds every run", given=run, there=drain)
    from sanctum_bus.cli import serve, target

    serve.work(target.resolve(_where(ctx)), run or [], drain=drain)


def publish(
    ctx: typer.Context,
    files: FilesArgument,
    run: Annotated[str, typer.Option("--run", metavar="RUN", show_default=False, help="The run.")],
    speed: SpeedOption = "max",
    as_json: JsonOption = False,
) -> None:
    """Publish recorded telemetry to a run."""
    from sanctum_bus.cli import feed, target

    feed.publish(target.resolve(_where(ctx)), files, run, speed_of(speed), as_json=as_json)


def watch(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", show_default=False, help="The run; else the one that was active last."
        ),
    ] = None,
) -> None:
    """Show a run live."""
    from sanctum_bus.cli import target
    from sanctum_bus.cli import watch as module

    module.watch(target.resolve(_where(ctx)), run)


def runs(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the runs on the server."""
    from sanctum_bus.cli import look, target

    look.runs(target.resolve(_where(ctx)), as_json=as_json)


def show(
    ctx: typer.Context,
    run: RunArgument,
    sections: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SECTION...]", show_default=False, help="Names of sections, such as policy or 'env:*'."
        ),
    ] = None,
    as_json: JsonOption = False,
    strict: StrictOption = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            show_default=False,
            help="Only sections that changed after this version. If the answer has another generation than the version had, ask for all.",
        ),
    ] = None,
) -> None:
    """Show the snapshot of a run."""
    goes_with("--strict", "--json", given=strict, there=as_json)
    from sanctum_bus.cli import look, target

    look.show_run(target.resolve(_where(ctx)), run, sections or [], since, as_json=as_json, strict=strict)


def log(
    ctx: typer.Context,
    run: RunArgument,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="How many lines, the newest ones.")
    ] = 20,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="ID", show_default=False, help="Instead: every line after the one with this id."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the seed event log of a run."""
    if after is not None and is_given(ctx, "lines"):
        raise typer.BadParameter("give either --lines or --after, which prints every line after that one")
    from sanctum_bus.cli import look, target

    look.log(target.resolve(_where(ctx)), run, lines, after, follow=follow, as_json=as_json)


def coverage(
    ctx: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", show_default=False, help="The run.")] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            metavar="FILE",
            show_default=False,
            help="Instead of a run: a recording; may be given again.",
        ),
    ] = None,
    fields: Annotated[
        bool,
        typer.Option("--fields", help="Every field: how often, under which names, and where it is kept."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which emitted fields were seen, and whether all are kept."""
    if (run is None) == (not file):
        raise typer.BadParameter("give either a run or --file")
    from sanctum_bus.cli import coverage as module
    from sanctum_bus.cli import target

    types = module.of_files(file) if file else module.of_run(target.resolve(_where(ctx)), run or "")
    module.print_coverage(run or ", ".join(file or ()), types, fields=fields, as_json=as_json)


def fold(
    files: FilesArgument,
    section: Annotated[
        list[str] | None,
        typer.Option(
            "--section",
            "-s",
            metavar="SECTION",
            show_default=False,
            help="Only these sections; may be given again.",
        ),
    ] = None,
    as_json: JsonOption = False,
    strict: StrictOption = False,
) -> None:
    """Fold recorded telemetry without a server, and show what comes of it."""
    goes_with("--strict", "--json", given=strict, there=as_json)
    from sanctum_bus.cli import feed

    feed.fold(files, section or [], as_json=as_json, strict=strict)


def remove(
    ctx: typer.Context,
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a run: its stream, its snapshot, its log, all of it."""
    from sanctum_bus.cli import remove as module
    from sanctum_bus.cli import target

    module.remove(target.resolve(_where(ctx)), run, sure=yes)


def _where(ctx: typer.Context) -> Where:
    return ctx.obj if isinstance(ctx.obj, Where) else Where()


#: Every command, in the order of the help: first what one tries, then what one runs, then what one looks at.
COMMANDS = (
    Command("demo", demo, examples("sanctum demo", "sanctum demo --once", "sanctum demo --speed 1 --keep")),
    Command("server", server, examples("sanctum server", "sanctum server --port 6379")),
    Command("worker", worker, examples("sanctum worker", "sanctum worker --drain --run my-run")),
    Command(
        "publish",
        publish,
        examples(
            "sanctum publish events.jsonl.gz --run demo",
            "tail -f events.jsonl | sanctum publish - --run demo",
        ),
    ),
    Command("watch", watch, examples("sanctum watch", "sanctum watch my-run")),
    Command("runs", runs, examples("sanctum runs", "sanctum runs --json | jq -r .run_id")),
    Command("workers", workers, examples("sanctum workers", "sanctum workers -v")),
    Command(
        "show",
        show,
        examples(
            "sanctum show my-run",
            "sanctum show my-run policy 'env:*'",
            "sanctum show my-run --json --strict | jq .sections.batch",
        ),
    ),
    Command("log", log, examples("sanctum log my-run -n 100", "sanctum log my-run --follow --json")),
    Command(
        "coverage",
        coverage,
        examples("sanctum coverage my-run --fields", "sanctum coverage --file events.jsonl.gz"),
    ),
    Command("dead", dead, examples("sanctum dead my-run", "sanctum dead my-run --requeue all")),
    Command("rebuild", rebuild, examples("sanctum rebuild my-run", "sanctum rebuild my-run --partial --yes")),
    Command(
        "fold",
        fold,
        examples("sanctum fold events.jsonl.gz", "sanctum fold events.jsonl.gz -s policy --json"),
    ),
    Command("doctor", doctor, examples("sanctum doctor", "sanctum doctor --json | jq .findings")),
    Command("config", config, examples("sanctum config", "sanctum config --json")),
    Command("rm", remove, examples("sanctum rm my-run", "sanctum rm my-run --yes")),
)
