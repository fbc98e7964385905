"""Sanctum: training telemetry as one shared, exact, crash-proof view in Redis."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sanctum_bus._version import __version__

if TYPE_CHECKING:
    from sanctum_bus.publisher import Publisher
    from sanctum_bus.reader import AsyncReader, Reader

__all__ = ["AsyncReader", "Publisher", "Reader", "__version__"]

_ROOMS = {"AsyncReader": "reader", "Publisher": "publisher", "Reader": "reader"}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a command that needs no server should not wait for redis-py."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
