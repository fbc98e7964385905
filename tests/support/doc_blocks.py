"""The code blocks of the documentation, and the programs that run them."""

import os
import re
import shutil
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT

#: Every document for users, by its path.
DOCUMENTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))


class Command(NamedTuple):
    """A command line in a document.

    Args:
        line: the command without the prompt.
        shown: its output in the document; empty if the document shows none.
    """

    line: str
    shown: str


def blocks(document: str, language: str) -> list[str]:
    """Return the code blocks of a document in one language."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def languages(document: str) -> set[str]:
    """Return the languages of the code blocks of a document; an empty text is a block without a language."""
    return set(re.findall(r"^```(.*)\n(?:.*\n)*?```$", (ROOT / document).read_text(), flags=re.MULTILINE))


def commands(document: str) -> list[Command]:
    """Return the commands of a document, in order."""
    found = []
    for block in blocks(document, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            found.append(Command(line.partition("  #")[0].strip(), shown))
    return found


def program(name: str) -> str:
    """Return the path of a program outside the virtual environment. If it is missing, skip the test, or fail it in CI."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing; .ci/run installs it")
        pytest.skip(f"{name} is not installed")
    return found
