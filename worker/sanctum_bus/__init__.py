"""Sanctum: training telemetry as one shared, exact, crash-proof view in Redis."""

from sanctum_bus._version import __version__
from sanctum_bus.publisher import Publisher
from sanctum_bus.reader import AsyncReader, Reader

__all__ = ["AsyncReader", "Publisher", "Reader", "__version__"]
