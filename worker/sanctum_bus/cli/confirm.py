"""Confirmation before a command deletes something."""

import sys

from sanctum_bus.cli.output import complain
from sanctum_bus.errors import CommandFailed, InvalidArgument


def confirm(question: str, otherwise: str, *, assume_yes: bool) -> None:
    """Ask a person on a terminal to confirm.

    Args:
        question: the question.
        otherwise: what does not happen without confirmation, for the error.
        assume_yes: skip the question.

    Raises:
        InvalidArgument: standard input is not a terminal.
        CommandFailed: the person declined.
        KeyboardInterrupt: the person pressed Ctrl-C.
    """
    if assume_yes:
        return
    if not sys.stdin.isatty():
        raise InvalidArgument(
            f"{otherwise} without confirmation: standard input is not a terminal. Use --yes."
        )
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        complain(otherwise)
        raise
    if not answer:
        # End-of-file does not end the line on the terminal.
        sys.stderr.write("\n")
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandFailed(otherwise)
