"""The users of config/users.acl: each has the rights for its work, and no others."""

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.reader import Reader
from tests.support.commands import sanctum
from tests.support.servers import REDIS_7, SUPPORTED, ServerKind
from tests.support.topologies import Node, Security
from tests.support.waiting import wait_until
from tests.support.whole_way import (
    PATIENCE_S,
    PUBLISHER,
    READER,
    USERS,
    WORKER,
    Following,
    Start,
    assert_folded,
    feeding,
    last_number,
    working,
)
from tests.support.worker_rig import Side

RUN = RunKeys("r")


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
def test_each_user_does_its_whole_work(start: Start, kind: ServerKind) -> None:
    """The ACL log stays empty, so no command was refused, in scripts or elsewhere."""
    server = start(Node, kind, Security(users=USERS))
    server.wait()
    reading, folding = server.url_of(READER), server.url_of(WORKER)
    admin = server.client()
    with feeding(server.url_of(PUBLISHER), "r") as (feed,):
        feed.send()
        feed.arrive()
        with working(folding, idle_timeout_s=0.5), working(folding, idle_timeout_s=0.5):
            wait_until(lambda: last_number(reading, "r") == 49, "the events are folded", PATIENCE_S)
            admin.xadd(RUN.events, {"type": "X", "json": "no json"})
            for follower in ("sync", "async"):
                Following(reading, "r", follower).finish(feed)
            feed.finish()
            side = Side(admin, RUN)
            wait_until(lambda: not side.checkpoint("owner"), "the run is idle", PATIENCE_S)
            assert_folded(admin, feed)
        with Reader(reading) as reader:
            assert [one.run_id for one in reader.runs()] == ["r"]
            reader.log("r"), reader.batches("r"), reader.coverage("r"), reader.dead_letters("r")
        assert sanctum("--redis", reading, "workers").status == 0
    for command in (
        ("rebuild", "r", "--yes"),
        ("dead-letters", "r", "all", "--requeue"),
        ("rm", "r", "--yes"),
    ):
        done = sanctum("--redis", folding, *command)
        assert done.status == 0, done.err

    assert admin.execute_command("ACL", "LOG") == []


@pytest.fixture(name="secured_server")
def _secured_server(start: Start) -> Node:
    server: Node = start(Node, REDIS_7, Security(users=USERS))
    server.wait()
    return server


@pytest.fixture(name="as_user")
def _as_user(secured_server: Node, request: pytest.FixtureRequest) -> Iterator[Redis]:
    with Redis.from_url(secured_server.url_of(request.param)) as client:
        yield client


_REFUSED_TO_ALL = (
    "FLUSHALL",
    "CONFIG GET *",
    "KEYS *",
    "GET other",
    "SET nissa:x 1",
    "SCRIPT KILL",
    "ACL LIST",
    "SUBSCRIBE other",
)
_REFUSED = {
    PUBLISHER: (
        "HGETALL nissa:{r}:run",
        "HSET nissa:{r}:run a b",
        "XRANGE nissa:{r}:events - +",
        "DEL nissa:{r}:events",
        "EVAL x 0",
    ),
    WORKER: ("XADD other * a b", "HGETALL other", "SPUBLISH other x", "SCRIPT FLUSH"),
    READER: (
        "HSET nissa:{r}:run a b",
        "XADD nissa:{r}:events * a b",
        "HGETALL other",
        "SSUBSCRIBE other",
        "EVAL x 0",
    ),
}


@pytest.mark.parametrize("as_user", _REFUSED, ids=lambda user: user.partition(":")[0], indirect=True)
def test_each_user_is_refused_the_rest(as_user: Redis, request: pytest.FixtureRequest) -> None:
    """No user flushes, configures or reads other keys; publishers read nothing, readers write nothing."""
    user = request.node.callspec.params["as_user"]

    refused = [command for command in (*_REFUSED_TO_ALL, *_REFUSED[user]) if _is_refused(as_user, command)]

    assert refused == [*_REFUSED_TO_ALL, *_REFUSED[user]]


def _is_refused(client: Redis, command: str) -> bool:
    try:
        client.execute_command(*command.split(" "))
    except NoPermissionError:
        return True
    return False
