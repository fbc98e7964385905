"""The command line: `sanctum`, or `python -m sanctum_bus.cli`.

Exit status: 0 success; 1 the operation failed, with the reason in one line on standard error; 2 the command
line is wrong; 130 Ctrl-C before the command was done. Commands that run until they are interrupted exit with
0 at Ctrl-C: `server`, `worker`, `watch`, `log --follow`, and `demo` on a terminal. `doctor` exits with 1 if a
check fails, and with 2 if it cannot read the server.
"""

import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from sanctum_bus._version import __version__
from sanctum_bus.cli import stdio
from sanctum_bus.cli.group import LazyGroup
from sanctum_bus.cli.options import GlobalOptions, PrefixOption, RedisOption, examples
from sanctum_bus.errors import SanctumError
from sanctum_bus.protocol.entry import WIRE_VERSION
from sanctum_bus.protocol.schema import SCHEMA_VERSION

#: Exit status of an operation that failed.
FAILED = 1

app = typer.Typer(
    name="sanctum",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    # Help without rich, which takes longer to load than everything else.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "sanctum demo                                    see it work",
        "sanctum server & sanctum worker &               run it",
        "sanctum publish events.jsonl.gz --run my-run    publish a recording",
        "sanctum watch my-run                            watch the run",
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sanctum {__version__} (protocol {WIRE_VERSION}, schema {SCHEMA_VERSION})")
        raise typer.Exit


@app.callback()
def _global(
    ctx: typer.Context,
    redis: RedisOption = None,
    prefix: PrefixOption = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the versions of package, protocol and schema, and exit.",
        ),
    ] = False,
) -> None:
    """Live state of training runs in Redis: publish, process, watch and operate."""
    ctx.obj = GlobalOptions(redis, prefix)


def main() -> None:
    """Run a command and end the process."""
    stdio.prepare()
    status = _status_of(partial(app, prog_name="sanctum"))
    # The last garbage collection at exit would take longer than many commands.
    gc.freeze()
    sys.exit(_status_of(sys.stdout.flush) or status)


def _status_of(act: Callable[[], object]) -> Any:
    """Return the exit status of an action. A closed pipe, as with `head`, is not an error to report."""
    try:
        act()
    except SystemExit as end:
        return end.code
    except SanctumError as error:
        from sanctum_bus.cli.output import complain

        complain(str(error))
        return FAILED
    except BrokenPipeError:
        return FAILED
    return 0
