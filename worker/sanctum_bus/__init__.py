"""Sanctum: training telemetry aggregated in Redis, one exact view of a run for many readers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sanctum_bus._version import __version__
from sanctum_bus.errors import (
    ConfigurationError,
    InvalidArgument,
    SanctumError,
    ServerNotFound,
    ServerTooOld,
    Unavailable,
    UnknownRun,
    UnknownSchema,
)

if TYPE_CHECKING:
    from sanctum_bus.publisher import Publisher
    from sanctum_bus.reader import AsyncReader, Reader

__all__ = [
    "AsyncReader",
    "ConfigurationError",
    "InvalidArgument",
    "Publisher",
    "Reader",
    "SanctumError",
    "ServerNotFound",
    "ServerTooOld",
    "Unavailable",
    "UnknownRun",
    "UnknownSchema",
    "__version__",
]

#: The package of each class that is imported on first use, because it imports redis-py.
_ROOMS = {"AsyncReader": "reader", "Publisher": "publisher", "Reader": "reader"}


def __getattr__(name: str) -> Any:
    """Import a class on its first use, so that commands that need no server start without redis-py."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
