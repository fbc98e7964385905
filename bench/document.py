"""The tables in `docs/performance.md`: written between markers, so that the words around them stay."""

import re
from pathlib import Path

from bench import charts, table
from bench.load import ROOT
from bench.results import Results

PAGE = ROOT / "docs" / "performance.md"


class NoMarker(Exception):
    """The page has no place for a table: put `<!-- bench:NAME -->` and `<!-- bench:end -->` back."""


def write(results: Results, page: Path = PAGE) -> None:
    """Put tables and charts into the page.

    Raises:
        NoMarker: the page has no place for one.
    """
    text = page.read_text()
    for name, filling in tables(results).items():
        text = replaced(text, name, filling)
    page.write_text(text)
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    charts.write(results, folder)


def tables(results: Results) -> dict[str, str]:
    """Return what stands between the markers, by name; nothing for what was not measured."""
    found = {"facts": table.markdown([["what", "which"], *map(list, results.facts.items())])}
    if results.figures:
        found["figures"] = table.markdown(table.rows(results.figures))
    if results.profile:
        found["profile"] = table.markdown(table.stages(results.profile))
    skipped = [f"- {name}: {why}" for name, why in results.skipped.items()]
    return found | {"skipped": "\n".join(skipped) or "Nothing was left out."}


def replaced(text: str, name: str, filling: str) -> str:
    """Return a page with other words between two markers.

    Raises:
        NoMarker: they are not there.
    """
    begin, end = f"<!-- bench:{name} -->", "<!-- bench:end -->"
    pattern = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", flags=re.DOTALL)
    if not pattern.search(text):
        raise NoMarker(f"{name}: no {begin} ... {end} in the page")
    return pattern.sub(lambda _: f"\n{filling}\n\n", text, count=1)
