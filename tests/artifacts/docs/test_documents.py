"""The documentation matches the code: tables are generated, decoders are exact."""

import json
import math
import re
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.protocol.text import encode_value, strict
from scripts import generate_docs
from tests.support.doc_blocks import blocks, program
from tests.support.paths import ROOT

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


def test_the_key_table_is_generated() -> None:
    """The table on the page is the table in the code; scripts/generate-docs writes it."""
    assert generate_docs.is_current(generate_docs.KEYS_PAGE)


@pytest.mark.parametrize("path", generate_docs.PATHS)
def test_pages_of_the_reference_are_generated(path: str) -> None:
    """Every generated file is up to date; scripts/generate-docs writes it."""
    assert generate_docs.is_current(path)


def test_links_of_the_readme_lead_somewhere() -> None:
    """Mkdocs checks the links of the pages; this test checks those of the README."""
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())

    assert len(links) > len(generate_docs.PAGES)
    assert [link for link in links if not (ROOT / link).is_file()] == []


def python_decoder() -> Any:
    """Return the documented decoder."""
    names: dict[str, Any] = {}
    exec(next(block for block in blocks("docs/how-to/read.md", "python") if "def decode" in block), names)  # noqa: S102
    return names["decode"]


@given(st.text() | st.floats() | st.integers() | st.lists(st.floats() | st.text()))
def test_the_python_decoder_of_the_documentation_reads_every_value(value: Any) -> None:
    """A Python program without Sanctum reads every value with the lines on the page."""
    assert repr(python_decoder()(encode_value(value))) == repr(value)


def test_the_javascript_decoder_of_the_documentation_reads_every_value() -> None:
    """A JavaScript program reads every value with the lines on the page; checked with Node."""
    node = program("node")
    decoder = next(
        block for block in blocks("docs/how-to/read.md", "javascript") if "function decode" in block
    )
    show = "(v) => typeof v === 'number' && (!Number.isFinite(v) || Object.is(v, -0)) ? (v === 0 ? '-0.0' : String(v)) : v"
    script = f"{decoder}\nconst texts = {json.dumps([encode_value(value) for value in VALUES])};\n"
    script += f"console.log(JSON.stringify(texts.map(decode).map({show})));"
    result = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)

    expected = ["-0.0" if repr(value) == "-0.0" else strict(value) for value in VALUES]
    assert json.loads(result.stdout) == expected
