"""The options that every command knows. Imports nothing heavy: `sanctum --help` is made from this."""

from dataclasses import dataclass
from typing import Annotated

import typer

from sanctum_bus.protocol.keys import DEFAULT_PREFIX


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options before the command; None if not given."""

    redis: str | None = None
    prefix: str | None = None


RedisOption = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        envvar="SANCTUM_REDIS_URL",
        help="The server: redis://, rediss:// or unix://. Else the one that `sanctum server` runs, else localhost:6379.",
        show_default=False,
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="TEXT",
        envvar="SANCTUM_KEY_PREFIX",
        help=f"What every key begins with; else {DEFAULT_PREFIX}.",
        show_default=False,
    ),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="The run.")]
FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", show_default=False, help="JSON lines, plain or gzipped; `-`: standard input."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for tools.")]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict", help="With --json: NaN and infinities as text, so that any JSON parser takes it."
    ),
]
SpeedOption = Annotated[
    str, typer.Option("--speed", metavar="N|max", help="Times the recorded pace, or as fast as it goes.")
]
DemoSpeedOption = Annotated[
    str | None,
    typer.Option(
        "--speed",
        metavar="N|max",
        show_default=False,
        help="Times the recorded pace, or as fast as it goes; else 4, and without a picture max.",
    ),
]


def is_given(ctx: typer.Context, name: str) -> bool:
    """Whether an option, of the command or a global one, was given and is not its variable or its default."""
    source = ctx.get_parameter_source(name) or ctx.find_root().get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def requires(option: str, other: str, *, given: object, present: bool) -> None:
    """Reject an option that has no effect without another one.

    Raises:
        BadParameter: the option is given without the other one.
    """
    if given and not present:
        raise typer.BadParameter(f"{option} requires {other}")


def speed_of(text: str) -> float | None:
    """Return how many times the recorded pace, None for as fast as it goes.

    Raises:
        BadParameter: it is neither.
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"{text!r} is neither a number above 0 nor `max`", param_hint="--speed")
    return speed


def examples(*lines: str) -> str:
    """Return the end of a help text; the first character keeps the lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
