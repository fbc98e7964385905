"""Deployments with several servers: Sentinel and Redis Cluster, with and without TLS and users.

    Sentinels   a primary with replicas, and three sentinels
    Cluster     three primaries that share the slots, with or without replicas
    TlsServer   one server that accepts TLS only

Only the Redis 7 of Debian has TLS. Each deployment is started for one test and ends with it: by `close`, or by the
fixtures of `tests/server/connection/conftest.py`.
"""

from tests.support.clusters import SLOTS, Cluster, slot_of
from tests.support.nodes import ADMIN, OPEN, PATIENCE_S, Node, Security, TlsServer
from tests.support.sentinels import SERVICE, Sentinels

__all__ = [
    "ADMIN",
    "OPEN",
    "PATIENCE_S",
    "SERVICE",
    "SLOTS",
    "Cluster",
    "Node",
    "Security",
    "Sentinels",
    "TlsServer",
    "slot_of",
]
