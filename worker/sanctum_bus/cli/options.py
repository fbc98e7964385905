"""The options that several commands share. Light imports only: `sanctum --help` needs this module."""

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
        help="Server URL: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://. Default: the running `sanctum server`, else localhost:6379.",
        show_default=False,
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="TEXT",
        envvar="SANCTUM_KEY_PREFIX",
        help=f"Prefix of every key. Default: {DEFAULT_PREFIX}.",
        show_default=False,
    ),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", show_default=False, help="Name of the run.")]
FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", show_default=False, help="JSON lines, plain or gzipped; `-` for standard input."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for tools.")]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="With --json: write NaN and infinities as strings, so that any JSON parser accepts them.",
    ),
]
SpeedOption = Annotated[
    str, typer.Option("--speed", metavar="N|max", help="Multiple of the recorded pace, or `max`.")
]
DemoSpeedOption = Annotated[
    str | None,
    typer.Option(
        "--speed",
        metavar="N|max",
        show_default=False,
        help="Multiple of the recorded pace, or `max`. Default: 4 on a terminal, else max.",
    ),
]


def is_given(ctx: typer.Context, name: str) -> bool:
    """Return whether an option was given on the command line, not by its environment variable or default."""
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
    """Return a multiple of the recorded pace; None for `max`.

    Raises:
        BadParameter: the text is neither a number above 0 nor `max`.
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
    """Return the end of a help text; its first character keeps the line breaks."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
