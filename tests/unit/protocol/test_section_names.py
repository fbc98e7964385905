"""Names of sections."""

import pytest

from sanctum_bus.errors import InvalidEntry
from sanctum_bus.protocol import section_names


@pytest.mark.parametrize(("part", "name"), [("r0c0", "r0c0"), ("a:b/~", "a%3Ab%2F%7E"), ("ä", "%C3%A4")])
def test_a_part_is_percent_encoded(part: str, name: str) -> None:
    """A part of a name is percent-encoded outside ASCII alphanumerics, dot, underscore and dash."""
    assert section_names.name_part(part) == name


@pytest.mark.parametrize(
    ("part", "message"), [("", "empty"), ("a" * 129, "128 bytes"), ("ä" * 50, "128 bytes")]
)
def test_a_part_that_is_no_name(part: str, message: str) -> None:
    """An empty or too long part is rejected, because its section could not be stored under it."""
    with pytest.raises(InvalidEntry, match=message):
        section_names.name_part(part)


def test_names_of_sections() -> None:
    """A section has the documented name."""
    assert section_names.env_section(3) == "env:3"
    assert section_names.seed_section(3, "r0c0") == section_names.seed_family(3) + ":r0c0"
    assert section_names.blueprint_section("conv") == "blueprint:conv"
    assert section_names.event_section("A.B") == "event:A%2EB"
    assert section_names.event_section("A", "kind", 2) == "event:A.kind:2"


def test_names_are_read_back() -> None:
    """The kind, the group and the environments can be read from the names of sections."""
    names = ["run", "env:10", "env:2", "env:x", "B/env:7", "A/run", "seed:1:a"]

    assert [section_names.section_kind(name) for name in ("run", "A/env:7", "seed:1:a")] == [
        "run",
        "env",
        "seed",
    ]
    assert section_names.groups(names) == ("A", "B")
    assert section_names.env_ids(names) == [2, 10]
    assert section_names.env_ids(names, group="B") == [7]
