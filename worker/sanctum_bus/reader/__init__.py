"""The client side that reads: one consistent view of a run, its log, its curves, and what could not be folded.

Importing it brings in redis and msgpack, and nothing else that is not Python's own.
"""

from sanctum_bus.reader.aio import AsyncReader
from sanctum_bus.reader.models import BatchLine, DeadLetter, LogLine, RunInfo, Snapshot
from sanctum_bus.reader.sync import Reader

__all__ = ["AsyncReader", "BatchLine", "DeadLetter", "LogLine", "Reader", "RunInfo", "Snapshot"]
