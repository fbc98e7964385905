"""Servers that stand together: Sentinel and Redis Cluster, in the plain, with TLS, with users.

    Sentinels   a master with replicas, watched by three sentinels
    Cluster     three masters that share the slots, with or without a replica each
    TlsServer   one server that speaks TLS only

Only Debian's Redis 7 has TLS. All of them are started for one test and end with it: `close`, or the fixtures of
`tests/server/connection/conftest.py`.
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
