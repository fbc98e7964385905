"""Units and meanings of fields, as `sanctum show` prints them."""

import pytest

from sanctum_bus.fold import derived_fields
from sanctum_bus.views.fields import Meaning, meaning


@pytest.mark.parametrize("row", derived_fields.TABLE, ids=lambda row: f"{row.section}.{row.name}")
def test_a_derived_field_is_explained(row: derived_fields.DerivedField) -> None:
    """Every derived field has a meaning, in sections with and without a group."""
    kind = "env" if row.section == derived_fields.ANY_SECTION else row.section
    name = f"{row.name}1" if row.is_prefix else row.name

    assert meaning(f"{kind}:0", name).text
    assert meaning(f"A/{kind}:0", name) == meaning(f"{kind}:0", name)


def test_an_unknown_field() -> None:
    """A field that is neither declared nor derived has no unit and no meaning."""
    assert meaning("env:0", "not.declared") == Meaning()
