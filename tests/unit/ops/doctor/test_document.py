"""The documentation lists every check."""

from sanctum_bus.ops.doctor.checks import RUN_CHECKS, SERVER_CHECKS
from scripts import generate_docs


def test_the_table_of_checks_is_generated() -> None:
    """The table on the page is the table in the code; scripts/generate-docs writes it."""
    assert generate_docs.is_current(generate_docs.CHECKS_PAGE)


def test_each_check_has_a_name_of_its_own() -> None:
    """The name of each check is unique."""
    names = [one.name for one in (*SERVER_CHECKS, *RUN_CHECKS)]

    assert len(names) == len(set(names))
