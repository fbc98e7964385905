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

#: Takes the name of a section and its fields, and returns its fields in the next schema.
Step: TypeAlias = Callable[[str, Fields], Fields]

#: Upgrade steps by the schema that they start from, without gaps up to `SCHEMA_VERSION`. Schema 1 is the
#: first.
STEPS: dict[int, Step] = {}


def oldest() -> int:
    """Return the oldest schema that can be upgraded. Workers start a new history for a snapshot with an older one."""
    return min(STEPS, default=SCHEMA_VERSION)


def check(run_id: str, schema: Any) -> int:
    """Return the schema of a checkpoint.

    Args:
        run_id: the run, for the error.
        schema: the checkpoint's field; None if it is missing.

    Raises:
        UnknownSchema: the schema is newer than this version supports, or too old to be upgraded.
    """
    if type(schema) is not int or schema < oldest():
        raise UnknownSchema(
            f"the snapshot of run {run_id!r} has schema {schema}; Sanctum {__version__} reads schema {oldest()} or newer. Start a worker of this version: it folds the run again"
        )
    if schema > SCHEMA_VERSION:
        raise UnknownSchema(newer(run_id, schema))
    return schema


def newer(run_id: str, schema: object) -> str:
    """Return the message about a snapshot that a newer version wrote."""
    return f"the snapshot of run {run_id!r} has schema {schema}; Sanctum {__version__} reads schema {SCHEMA_VERSION} or older. Upgrade Sanctum here (pip install --upgrade sanctum-bus); nothing was changed"


def upgrade(sections: Mapping[str, Fields], schema: int) -> dict[str, Fields]:
    """Return sections of an older, checked schema in the layout of this version.

    Args:
        sections: name -> fields; any part of a snapshot.
        schema: the schema that they have.
    """
    found = dict(sections)
    for version in range(schema, SCHEMA_VERSION):
        found = {name: STEPS[version](name, fields) for name, fields in found.items()}
    return found
