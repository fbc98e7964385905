"""The documentation lists the checks that there are."""

from sanctum_bus.ops.doctor.checks import RUN_CHECKS, SERVER_CHECKS, as_markdown
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "how-to" / "operate.md"


def test_the_table_of_checks_is_generated() -> None:
    """The table on the page is the table in the code; print it with: python -m sanctum_bus.ops.doctor.checks."""
    assert as_markdown() in PAGE.read_text()


def test_each_check_has_a_name_of_its_own() -> None:
    """Findings are told apart by the name of their check."""
    names = [one.name for one in (*SERVER_CHECKS, *RUN_CHECKS)]

    assert len(names) == len(set(names))
