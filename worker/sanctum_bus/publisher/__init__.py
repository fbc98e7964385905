"""The publisher: sends events from a training process to the stream of a run.

Importing this package loads redis and msgpack, and otherwise only the standard library.
"""

from sanctum_bus.publisher.producer import PublisherStats
from sanctum_bus.publisher.publisher import Publisher

__all__ = ["Publisher", "PublisherStats"]
