"""Schema versions of the snapshot: which are read, which are upgraded, which are refused.

Pure functions upgrade the sections of an older schema, one section at a time. A reader and the worker that writes the
sections back get the same result, so views from before and after the upgrade can be merged.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from sanctum_bus._version import __version__
from sanctum_bus.errors import UnknownSchema
from sanctum_bus.protocol.entry import Fields

#: Version of the snapshot's layout; the checkpoint field `schema` holds it.
SCHEMA_VERSION: Final = 1

#: Takes a section's name and its fields, and returns the fields that the next schema has.
Step: TypeAlias = Callable[[str, Fields], Fields]

#: By the schema that each step starts from, without holes up to `SCHEMA_VERSION`. There has been one schema so far.
STEPS: dict[int, Step] = {}


def oldest() -> int:
    """Return the oldest schema that can be brought up to date; of one before it a new history is begun."""
    return min(STEPS, default=SCHEMA_VERSION)


def check(run_id: str, schema: Any) -> int:
    """Return the schema of a checkpoint.

    Args:
        run_id: the run, for the error.
        schema: as the checkpoint has it; None where it does not say.

    Raises:
        UnknownSchema: it is newer than this version knows, or none that can be brought up to date.
    """
    if type(schema) is not int or schema < oldest():
        raise UnknownSchema(
            f"the snapshot of run {run_id!r} has schema {schema}, and Sanctum {__version__} reads none before "
            f"{oldest()}: start a worker of this version, it folds the run anew"
        )
    if schema > SCHEMA_VERSION:
        raise UnknownSchema(newer(run_id, schema))
    return schema


def newer(run_id: str, schema: object) -> str:
    """Return what to say of a snapshot that a newer version has written."""
    return (
        f"the snapshot of run {run_id!r} has schema {schema}, and Sanctum {__version__} knows none after "
        f"{SCHEMA_VERSION}: upgrade Sanctum here (pip install --upgrade sanctum-bus); nothing was changed"
    )


def upgrade(sections: Mapping[str, Fields], schema: int) -> dict[str, Fields]:
    """Return sections of a schema that was checked in the layout of this version.

    Args:
        sections: name -> fields; any part of a snapshot.
        schema: what they were written in.
    """
    found = dict(sections)
    for version in range(schema, SCHEMA_VERSION):
        found = {name: STEPS[version](name, fields) for name, fields in found.items()}
    return found
