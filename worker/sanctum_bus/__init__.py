"""Sanctum: training telemetry as one shared, exact, crash-proof view in Redis."""

from sanctum_bus._version import __version__

__all__ = ["__version__"]
