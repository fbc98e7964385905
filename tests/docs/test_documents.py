"""What the documents say is what the code does: tables are generated, examples run."""

import asyncio
import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus import keys
from sanctum_bus.settings import load
from sanctum_bus.snapshot import encode_value, strict
from sanctum_bus.worker import Worker

ROOT = Path(__file__).parent.parent.parent

VALUES: list[Any] = [
    "FOSSILIZED",
    "12",
    " 12 ",
    "",
    "null",
    "[x",
    'say "hi"',
    "a\0b",
    "\ufeffbom",
    "Grüße, 世界 🌱",
    0.731,
    -0.0,
    1e21,
    7,
    True,
    None,
    math.nan,
    math.inf,
    -math.inf,
    [1.5, "x", None],
    {"r0c0": {"stage": "BLENDING"}},
]


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    text = (ROOT / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_key_table_is_generated() -> None:
    """The table in the documentation is the table in the code; print it with: python -m sanctum_bus.keys."""
    assert keys.as_markdown() in (ROOT / "docs/reading.md").read_text()


def python_decoder() -> Any:
    """The documented decoder, from the page."""
    names: dict[str, Any] = {}
    exec(next(block for block in blocks("docs/reading.md", "python") if "def decode" in block), names)  # noqa: S102
    return names["decode"]


@given(st.text() | st.floats() | st.integers() | st.lists(st.floats() | st.text()))
def test_the_python_decoder_of_the_documentation_reads_every_value(value: Any) -> None:
    """A reader without Sanctum needs only the lines on the page."""
    assert repr(python_decoder()(encode_value(value))) == repr(value)


def test_the_javascript_decoder_of_the_documentation_reads_every_value() -> None:
    """A reader in JavaScript needs only the lines on the page; checked with Node."""
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI"):
            pytest.fail("Node is missing; install it: apt-get install nodejs")
        pytest.skip("Node is not installed")
    (decoder,) = blocks("docs/reading.md", "javascript")
    show = "(v) => typeof v === 'number' && (!Number.isFinite(v) || Object.is(v, -0)) ? (v === 0 ? '-0.0' : String(v)) : v"
    program = f"{decoder}\nconst texts = {json.dumps([encode_value(value) for value in VALUES])};\n"
    program += f"console.log(JSON.stringify(texts.map(decode).map({show})));"
    result = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)

    expected = ["-0.0" if repr(value) == "-0.0" else strict(value) for value in VALUES]
    assert json.loads(result.stdout) == expected


@pytest.mark.parametrize("document", ["README.md", "docs/publishing.md"])
def test_published_examples_run(document: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of the documents run as they stand, and a reader finds what they published."""
    publishing = [block for block in blocks(document, "python") if "Publisher(" in block]
    reading = blocks("docs/reading.md", "python")[-1]
    monkeypatch.setenv("SANCTUM_REDIS_URL", redis_url)
    for block in publishing:
        exec(block.replace("redis://localhost:6379/0", redis_url), {})  # noqa: S102
    asyncio.run(Worker(load(redis_url=redis_url)).drain())
    exec(reading.replace("redis://localhost:6379/0", redis_url), {})  # noqa: S102

    assert publishing
