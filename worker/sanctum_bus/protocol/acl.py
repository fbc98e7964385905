"""The commands and keys that each part of Sanctum needs. `config/users.acl` is generated from `ROLES`.

Each command has a sample that shows how it is called and on which key.
"""

from typing import NamedTuple

from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import GROUP, RunKeys

#: Commands whose second word is a subcommand.
_CONTAINERS = {"CLIENT", "CLUSTER", "MEMORY", "PUBSUB", "XGROUP", "XINFO"}

_DIGEST = "0" * 40


class Role(NamedTuple):
    """One part of Sanctum, as a server sees it.

    Args:
        patterns: the keys and channels that it may access, in the syntax of access control lists.
        samples: one harmless call of each command, with names instead of keys.
    """

    name: str
    patterns: str
    samples: tuple[str, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the names of the commands in the syntax of access control lists."""
        return tuple(map(rule_of, self.samples))


PUBLISHER = Role(
    "publisher",
    "~{p}:{{*}}:events ~{p}:{{*}}:producers ~{p}:runs",
    (
        "MULTI",
        "EXEC",
        "XADD events * a b",
        "HSET producers a b",
        "ZADD runs 1 a",
        "TIME",
        "PING",
        "CLIENT SETNAME sanctum",
        "CLUSTER SLOTS",
    ),
)
WORKER = Role(
    "worker",
    "&{p}:* ~{p}:*",
    (
        "EVAL return 1 none",
        f"EVALSHA {_DIGEST} 1 none",
        "EVAL_RO return 1 none",
        f"EVALSHA_RO {_DIGEST} 1 none",
        "MULTI",
        "EXEC",
        "DEL none",
        "EXISTS checkpoint",
        "HDEL checkpoint a",
        "HGET checkpoint a",
        "HGETALL checkpoint",
        "HKEYS sections",
        "HLEN sections",
        "HMGET sections a",
        "HSET checkpoint a b",
        "MEMORY USAGE dead",
        "SCAN 0 COUNT 1",
        "PUBSUB SHARDNUMSUB changed",
        "SPUBLISH changed a",
        "TIME",
        "TYPE none",
        "UNLINK none",
        f"XACK events {GROUP} 0-1",
        "XADD log * a b",
        "XDEL dead 0-1",
        f"XGROUP CREATE events {GROUP} 0",
        f"XGROUP DESTROY events {GROUP}",
        f"XGROUP CREATECONSUMER events {GROUP} a",
        "XINFO STREAM events",
        "XINFO GROUPS events",
        "XLEN dead",
        f"XPENDING events {GROUP}",
        "XRANGE events - + COUNT 1",
        "XREAD COUNT 1 STREAMS events 0",
        f"XREADGROUP GROUP {GROUP} a COUNT 1 STREAMS events >",
        "XREVRANGE events + - COUNT 1",
        "XTRIM log MAXLEN 1000000",
        "ZADD workers 1 a",
        "ZCARD recent",
        "ZRANGE workers 0 0",
        "ZRANGEBYSCORE runs 1 1",
        "ZREM runs a",
        "ZREMRANGEBYSCORE workers 1 1",
        "INFO server",
        "PING",
        "CLIENT SETNAME sanctum",
        "CLUSTER SLOTS",
    ),
)
READER = Role(
    "reader",
    "&{p}:* %R~{p}:*",
    (
        "EVAL_RO return 1 none",
        f"EVALSHA_RO {_DIGEST} 1 none",
        "EXISTS checkpoint",
        "HGET checkpoint a",
        "HGETALL none",
        "SCAN 0 COUNT 1",
        "SSUBSCRIBE changed",
        "SUNSUBSCRIBE changed",
        "TIME",
        "TYPE none",
        "XINFO STREAM none",
        "XRANGE none - + COUNT 1",
        "XREVRANGE none + - COUNT 1",
        "HLEN none",
        "HMGET none a",
        "ZCARD none",
        "ZRANGE runs 0 0",
        "ZRANGEBYSCORE none 1 1",
        "INFO server",
        "PING",
        "CLIENT SETNAME sanctum",
        "CLUSTER SLOTS",
    ),
)

ROLES = (PUBLISHER, WORKER, READER)


def rule_of(sample: str) -> str:
    """Return the name of a sample's command in the syntax of access control lists: `xadd`, `xinfo|stream`."""
    first, second, *_ = (*sample.split(), "")
    return f"{first}|{second}".lower() if first in _CONTAINERS else first.lower()


def call_of(sample: str, run: RunKeys) -> list[str]:
    """Return the call that a sample stands for, on the keys of a run."""
    names = {
        "events": run.events,
        "producers": run.producers,
        "checkpoint": run.checkpoint,
        "sections": run.sections,
        "log": run.log,
        "dead": run.dead,
        "recent": run.recent,
        "none": run.none,
        "changed": run.changed,
        "runs": keys.runs(run.prefix),
        "workers": keys.workers(run.prefix),
    }
    return [names.get(word, word) for word in sample.split()]
