"""The generated tables and charts of `docs/performance.md`; text outside the markers stays unchanged."""

import re
from pathlib import Path

from bench import charts, table
from bench.load import ROOT
from bench.results import Results

PAGE = ROOT / "docs" / "performance.md"


class NoMarker(Exception):
    """The page lacks a marker. Restore `<!-- bench:NAME -->` and `<!-- bench:end -->`."""


def write(results: Results, page: Path = PAGE) -> None:
    """Write tables and charts into the page.

    Raises:
        NoMarker: a marker is missing.
    """
    text = page.read_text()
    for name, filling in tables(results).items():
        text = replaced(text, name, filling)
    page.write_text(text)
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    charts.write(results, folder)


def tables(results: Results) -> dict[str, str]:
    """Return the tables by marker name; parts that were not measured are left out."""
    found = {"facts": table.markdown([["property", "value"], *map(list, results.facts.items())])}
    if results.figures:
        found["figures"] = table.markdown(table.rows(results.figures))
        found["summary"] = table.markdown(table.summary(results.figures))
    if results.profile:
        found["profile"] = table.markdown(table.stages(results.profile))
    skipped = [f"- {name}: {why}" for name, why in results.skipped.items()]
    return found | {"skipped": "\n".join(skipped) or "No figure was skipped."}


def replaced(text: str, name: str, filling: str) -> str:
    """Return the page with new text between two markers.

    Raises:
        NoMarker: a marker is missing.
    """
    begin, end = f"<!-- bench:{name} -->", "<!-- bench:end -->"
    pattern = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", flags=re.DOTALL)
    if not pattern.search(text):
        raise NoMarker(f"marker not found in the page: {begin} ... {end}")
    return pattern.sub(lambda _: f"\n{filling}\n\n", text, count=1)
