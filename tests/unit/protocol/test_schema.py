"""Schema versions: which snapshots are read, upgraded and refused."""

import pytest

from sanctum_bus.errors import UnknownSchema
from sanctum_bus.protocol import schema
from sanctum_bus.protocol.entry import Fields


def test_the_current_schema_is_read() -> None:
    """A snapshot of the current schema is accepted, and an upgrade does not change it."""
    sections: dict[str, Fields] = {"run": {"starts": 1}}

    assert schema.check("r", schema.SCHEMA_VERSION) == schema.SCHEMA_VERSION
    assert schema.upgrade(sections, schema.SCHEMA_VERSION) == sections


@pytest.mark.parametrize("number", [None, "1", 0, True, 1.0])
def test_an_older_schema_is_refused(number: object) -> None:
    """A missing, invalid or too old schema is refused; the message has the command that repairs it."""
    with pytest.raises(UnknownSchema, match=f"run 'r' has schema {number}.*Start a worker"):
        schema.check("r", number)


def test_a_newer_schema_is_refused() -> None:
    """A newer schema is refused; the message recommends an upgrade, and confirms that nothing was changed."""
    with pytest.raises(UnknownSchema, match=r"pip install --upgrade sanctum-bus.*nothing was changed"):
        schema.check("r", schema.SCHEMA_VERSION + 1)


def test_an_older_schema_is_upgraded_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step converts every section from one schema to the next, in order."""

    def step(number: int) -> schema.Step:
        return lambda name, fields: {**fields, f"{name}.{number}": [*fields]}

    start = schema.SCHEMA_VERSION - 2
    monkeypatch.setattr(schema, "STEPS", {start: step(1), start + 1: step(2)})

    assert schema.oldest() == start
    assert schema.upgrade({"run": {"a": 1}}, start) == {
        "run": {"a": 1, "run.1": ["a"], "run.2": ["a", "run.1"]}
    }
