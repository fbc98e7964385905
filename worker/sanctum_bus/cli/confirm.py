"""Asking before something is lost."""

import sys

from sanctum_bus.cli.output import complain
from sanctum_bus.errors import CommandFailed, InvalidArgument


def confirm(question: str, otherwise: str, *, assume_yes: bool) -> None:
    """Ask a person on a terminal, unless somebody said that he is sure.

    Args:
        question: what is asked.
        otherwise: what is said where nothing is done.
        assume_yes: skip the question.

    Raises:
        BadInput: nobody is there to ask.
        Failed: the person is not sure.
        KeyboardInterrupt: the person pressed Ctrl-C.
    """
    if assume_yes:
        return
    if not sys.stdin.isatty():
        raise InvalidArgument(f"{otherwise}: nobody is there to ask; say --yes if you are sure")
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        complain(otherwise)
        raise
    if not answer:
        # The end of the input has not ended the line.
        sys.stderr.write("\n")
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandFailed(otherwise)
