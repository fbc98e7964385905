"""Generated parts of pages are replaced between their markers, and nothing else changes."""

from pathlib import Path

import pytest

from scripts import generate_docs

PAGE = "# Title\n\n<!-- generated:x -->\n\nold\n\n<!-- /generated -->\n\nThe end.\n"


def test_only_the_generated_part_changes() -> None:
    """The text around the markers stays; a second run changes nothing."""
    page = generate_docs.replaced(PAGE, "x", "new\n")

    assert page == PAGE.replace("old", "new")
    assert generate_docs.replaced(page, "x", "new\n") == page


@pytest.mark.parametrize("page", ["no part", PAGE + PAGE], ids=["none", "two"])
def test_a_page_has_each_part_once(page: str) -> None:
    """A page without the markers, or with a part twice, is an error that names the marker."""
    with pytest.raises(generate_docs.MissingMarker, match="generated:x"):
        generate_docs.replaced(page, "x", "new\n")


def test_a_cell_is_safe_in_a_table() -> None:
    """A vertical bar does not end a cell; angle brackets and stars outside code are text."""
    text = generate_docs.table(("a", "b"), [("x|y", "<z> *"), ("`<z>`", "")])

    assert text == "| a | b |\n|---|---|\n| x\\|y | &lt;z> \\* |\n| `<z>` |  |\n"


def test_check_reports_a_stale_file_and_does_not_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` prints the path of a stale file and exits with 1; without it the file is written."""
    (tmp_path / "page.md").write_text(PAGE)
    monkeypatch.setattr(generate_docs, "ROOT", tmp_path)
    monkeypatch.setattr(generate_docs, "PATHS", ("page.md",))
    monkeypatch.setitem(generate_docs.PAGES, "page.md", {"x": lambda: "new\n"})

    assert generate_docs.main(["--check"]) == 1
    assert "page.md is out of date: run scripts/generate-docs" in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text() == PAGE
    assert generate_docs.main([]) == 0
    assert generate_docs.main(["--check"]) == 0
