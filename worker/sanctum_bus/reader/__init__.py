"""Read runs: consistent snapshots, the seed event log, the batches stream, and dead letters.

Importing this package imports redis and msgpack, and otherwise only the standard library.
"""

from sanctum_bus.reader.aio import AsyncReader
from sanctum_bus.reader.models import BatchLine, DeadLetter, LogLine, RunInfo, Snapshot
from sanctum_bus.reader.sync import Reader

__all__ = ["AsyncReader", "BatchLine", "DeadLetter", "LogLine", "Reader", "RunInfo", "Snapshot"]
