"""The language check finds the banned words in prose, and leaves code alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.script_modules import load_script

language: Any = load_script("check-language")


def words(text: str) -> list[str]:
    """The words that are found in one piece of prose."""
    return [finding.word for finding in language.check(language.Prose(1, text), "x")]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The worker starts anew.", "anew"),
        ("Each has a connection of its own.", "of its own"),
        ("The error is said once.", "is said"),
        ("Put the letters back.", "letters"),
        ("The key goes.", "goes"),
        ("The server is away.", "is away"),
        ("It waits, for it is busy.", ", for it"),
        ("It waits, for the server is busy.", ", for the server is"),
        ("The file is kept as it is.", "as it is"),
        ("What is fine takes one line.", "What"),
        ("The run ends. Whoever reads it waits.", "Whoever"),
        ("It ends. Where a key is missing it stops.", "Where"),
        ("The worker knows the run.", "knows"),
        ("The server is asked again.", "is asked"),
        ("'x' is no stream", "is no"),
    ],
)
def test_each_rule_finds_its_words(text: str, word: str) -> None:
    """A sentence that breaks a rule is reported with the words that break it."""
    assert word.strip(", ") in [found.strip(", ") for found in words(text)]


@pytest.mark.parametrize(
    "text",
    [
        "`sanctum dead-letters` lists the dead letters.",
        "A name begins with a letter or a digit.",
        "There is no run on this server.",
        "The run is no longer active.",
        "What does a worker do?",
        "The call `tells()` is code.",
        "See [the page](docs/whoever.md).",
        "The event goes to the stream, for one run.",
        "The time for the commit.",
        "The worker is no faster.",
    ],
)
def test_plain_prose_passes(text: str) -> None:
    """Terms, questions, code and links are not reported."""
    assert words(text) == []


def test_code_blocks_are_skipped() -> None:
    """Fenced code in Markdown is not prose, but its lines count; a heading may begin with any word."""
    page = "# What a title may be\n\n```text\nwhoever\n```\n\n<!-- anew -->\nIt is so.\nIt begins anew.\n"
    found = [
        finding.line for prose in language.markdown(page) for finding in language.check(prose, "page.md")
    ]

    assert found == [9]


def test_python_prose_is_comments_docstrings_and_sentences() -> None:
    """Names and single words are code; comments on successive lines are one text."""
    source = (
        '"""Whoever reads."""\n'
        "whoever = 'anew'\n"
        "# The worker starts\n"
        "# anew.\n"
        "error = f'{whoever} is said'\n"
    )
    found = [
        (finding.line, finding.word)
        for prose in language.python(source)
        for finding in language.check(prose, "m.py")
    ]

    assert sorted(found) == [(1, "Whoever"), (4, "anew"), (5, "is said")]


def test_alerts_and_lua_are_read() -> None:
    """The values that people see are checked in YAML, and comments everywhere."""
    alert = "annotations:\n  summary: The server is away\n  description: >-\n    Nothing.\n    Whoever reads it.\n"
    found = [
        (finding.line, finding.word)
        for prose in language.yaml(alert)
        for finding in language.check(prose, "alerts.yml")
    ]
    lua = [prose.text for prose in language.line_comments("local x = 1 -- one\n-- two\n", "--")]

    assert found == [(2, "is away"), (5, "Whoever")]
    assert lua == ["one\ntwo"]


@pytest.mark.parametrize(
    ("subject", "passes"),
    [
        ("fold: keep epochs above 64 bits", True),
        ("docs, scripts: move the pages", True),
        ("Keep epochs above 64 bits", False),
        ("fold: start anew", False),
        ("fold: " + "x" * 70, False),
    ],
)
def test_a_commit_subject_has_a_scope_and_a_limit(tmp_path: Path, subject: str, *, passes: bool) -> None:
    """The hook rejects subjects without a scope, with banned words, or above 72 characters."""
    message = tmp_path / "message"
    message.write_text(f"{subject}\n\nbody\n")
    command = [sys.executable, str(ROOT / "scripts" / "check-language"), "--message", str(message)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode == 0) is passes, done.stdout


def test_every_skipped_file_has_a_reason() -> None:
    """Rules, exceptions and skipped files state why they exist."""
    assert all(reason for _, _, reason in language.RULES)
    assert all(reason for _, reason in language.EXCEPTIONS)
    assert all(language.SKIPPED.values())
