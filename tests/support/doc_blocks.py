"""The code blocks of the documents, and the programs that run them."""

import os
import re
import shutil
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT

#: Every document for users, by its path.
DOCUMENTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))


class Command(NamedTuple):
    """One line that a person is told to type.

    Args:
        line: without the prompt.
        shown: what it prints, as the document has it; empty where it does not say.
    """

    line: str
    shown: str


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def languages(document: str) -> set[str]:
    """The languages that a document has blocks in; empty is one that does not say."""
    return set(re.findall(r"^```(.*)\n(?:.*\n)*?```$", (ROOT / document).read_text(), flags=re.MULTILINE))


def commands(document: str) -> list[Command]:
    """The commands of a document, in order."""
    found = []
    for block in blocks(document, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            found.append(Command(line.partition("  #")[0].strip(), shown))
    return found


def program(name: str) -> str:
    """A program that is no part of the virtual environment; where it is missing the test is skipped, in CI it fails."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing; .ci/run installs it")
        pytest.skip(f"{name} is not installed")
    return found
