"""The table of errors: which make a worker wait, which restart a run, which are defects, and which end the start."""

import asyncio
import inspect
import re

import pytest
import redis.asyncio.sentinel
import redis.exceptions
import redis.sentinel
from redis.exceptions import RedisError, ResponseError

from sanctum_bus.connection import connect_async
from sanctum_bus.connection.retry import backoff_s
from sanctum_bus.errors import (
    CommitRefused,
    ConfigurationError,
    DeferredWriteFailed,
    FoldFailed,
    Gap,
    InvalidArgument,
    InvalidEntry,
    RestartRun,
    ServerNotFound,
    ServerTooOld,
    UnconfirmedGap,
)
from sanctum_bus.worker.failures import FailureKind, classify
from sanctum_bus.worker.supervisor import Worker
from tests.support.servers import Server, StartServer
from tests.support.worker_rig import settings_of

#: Replies that a server may send at any time, verbatim.
REPLIES = (
    "NOGROUP No such key 'nissa:{r}:events' or consumer group 'sanctum'",
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "NOREPLICAS Not enough good replicas to write.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "ASK 3999 127.0.0.1:6381",
    "MOVED 3999 127.0.0.1:6381",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOSCRIPT No matching script. Please use EVAL.",
    "UNBLOCKED the stream key no longer exists",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "EXECABORT Transaction discarded because of previous errors.",
    "NOPERM this user has no permissions to run the 'xadd' command",
    "NOAUTH Authentication required.",
    "FAILOVER an error that a future server replies with",
)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: str(reply).split()[0])
def test_what_a_server_answers_is_trouble(server: Server, reply: str) -> None:
    """P17: whatever class the client library gives an error reply, the worker retries and does not end."""

    async def ask() -> None:
        client = connect_async(server.url)
        try:
            await client.execute_command("EVAL", "return redis.error_reply(ARGV[1])", 0, reply)
        finally:
            await client.aclose()

    with pytest.raises(RedisError, match=re.escape(reply.partition(" ")[2][:20])) as caught:
        asyncio.run(ask())

    assert classify(caught.value) is FailureKind.UNAVAILABLE


def _is_error(kind: object) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Exception)


CLIENT_ERRORS = [
    # Without their arguments, which differ from class to class.
    *(kind.__new__(kind) for kind in vars(redis.exceptions).values() if _is_error(kind)),
    redis.sentinel.MasterNotFoundError("no master"),
    redis.asyncio.sentinel.MasterNotFoundError("no master"),
    redis.asyncio.sentinel.SlaveNotFoundError("no replica"),
    TimeoutError(),
    OSError(111, "refused"),
    ConnectionResetError(),
    BrokenPipeError(),
]


@pytest.mark.parametrize("error", CLIENT_ERRORS, ids=lambda error: type(error).__qualname__)
def test_what_the_client_library_raises_is_trouble(error: Exception) -> None:
    """P4, P17: errors that are not `RedisError`s count too, such as those of a cluster and of both Sentinel modules."""
    assert classify(error) is FailureKind.UNAVAILABLE


def test_the_errors_of_a_cluster_are_among_them() -> None:
    """P24: cluster errors are not `RedisError`s, so a list of those would not contain them."""
    names = {type(error).__name__ for error in CLIENT_ERRORS}

    assert {"RedisClusterException", "SlotNotCoveredError", "CrossSlotTransactionError"} <= names


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (RestartRun("group", "NOGROUP"), FailureKind.REFUSED),
        (CommitRefused("generation", "7"), FailureKind.REFUSED),
        (UnconfirmedGap(Gap("p", 1, 3)), FailureKind.REFUSED),
        (FoldFailed("1-1", "the fold failed"), FailureKind.FOLD_FAILED),
        (DeferredWriteFailed("section x does not take it"), FailureKind.FOLD_FAILED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_doubted_is_started_over(error: Exception, trouble: FailureKind) -> None:
    """A refusal differs from an unavailable server, and both differ from an entry that is to be parked."""
    assert classify(error) is trouble


@pytest.mark.parametrize(
    "error",
    [
        TypeError("a defect"),
        ValueError("a defect"),
        KeyError("a defect"),
        AssertionError("a defect"),
        RecursionError(),
        MemoryError(),
        InvalidEntry("the caller parks it"),
        InvalidArgument("an invalid call"),
        ConfigurationError("an invalid setting"),
        ServerTooOld("6.2"),
        ServerNotFound("none"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_defect_is_no_trouble(error: Exception) -> None:
    """P32: an error that waiting does not fix ends the worker with its message; the worker does not retry."""
    assert classify(error) is None


def test_pauses_grow_and_are_bounded() -> None:
    """P34: each pause is longer than the one before, none exceeds two seconds, and jitter spreads workers over half of it."""
    longest = [backoff_s(failures, 1.0) for failures in range(1, 60)]
    assert longest == sorted(longest)
    assert (longest[0], longest[-1]) == (0.05, 2.0)
    assert backoff_s(5, 0.0) == longest[4] / 2


def test_no_credentials_where_some_are_wanted(start_server: StartServer) -> None:
    """P32: a server that requires a password is reported as that, without retries; waiting would not help."""
    server = start_server()
    client = server.client()
    client.config_set("requirepass", "secret")
    try:
        with pytest.raises(ConfigurationError, match="rejected the credentials"):
            asyncio.run(asyncio.wait_for(Worker(settings_of(server)).run(), 20))
    finally:
        client.config_set("requirepass", "")


def test_no_fault_of_the_moment_is_taken_for_an_old_server(start_server: StartServer) -> None:
    """P30: a server is too old only if it lacks the probe command; a server that refuses it for now is not."""
    server = start_server()
    client = server.client()
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof("127.0.0.1", "1")

    with pytest.raises(ResponseError, match="Link with MASTER is down"):
        asyncio.run(Worker(settings_of(server)).drain())
