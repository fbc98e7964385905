"""Asking before something is lost."""

import sys

import typer

from sanctum_bus.errors import BadInput


def make_sure(question: str, otherwise: str, *, sure: bool) -> None:
    """Ask a person on a terminal, unless somebody said that he is sure.

    Args:
        question: what is asked.
        otherwise: what is said where nobody is there to ask.
        sure: somebody said so.

    Raises:
        BadInput: nobody is there to ask.
        Abort: the person is not sure.
    """
    if sure:
        return
    if not sys.stdin.isatty():
        raise BadInput(f"{otherwise}: nobody is there to ask; say --yes if you are sure")
    typer.confirm(question, abort=True, err=True)
