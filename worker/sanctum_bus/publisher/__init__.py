"""The client side that writes: from a training script into the run's stream.

Importing it brings in redis and msgpack, and nothing else that is not Python's own.
"""

from sanctum_bus.publisher.producer import PublisherStats
from sanctum_bus.publisher.publisher import Publisher

__all__ = ["Publisher", "PublisherStats"]
