"""`sanctum doctor` on good and on bad servers."""

from contextlib import closing
from pathlib import Path

from sanctum_bus.ops.doctor.checks import SERVER_CHECKS
from sanctum_bus.protocol.keys import RunKeys
from tests.support.commands import Run, sanctum
from tests.support.doctor import Diagnosis
from tests.support.servers import REDIS_6, REDIS_8, VALKEY_9, StartServer
from tests.support.topologies import Cluster
from tests.support.worker_rig import Side
from tests.support.worker_task import at_work, wait_for_fold

#: A server without findings; slow commands of a busy machine do not matter here.
_GOOD = ("--appendonly", "yes", "--maxmemory-policy", "noeviction", "--slowlog-log-slower-than", "-1")


def test_a_good_server_takes_one_line(start_server: StartServer) -> None:
    """If all checks pass, the output is one line and the exit status is 0."""
    server = start_server(VALKEY_9, *_GOOD)
    Run(server.url).publish({"event_type": "OTHER", "data": {}})

    ran = sanctum("doctor", url=server.url)

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.count("\n") == 1
    assert ran.out.startswith(f"17 checks passed ({server.url}): version, eviction, ")


def test_a_run_that_is_folded_is_fine(start_server: StartServer) -> None:
    """A live worker that owns its run is not a finding, whatever it has in progress."""
    server = start_server(VALKEY_9, *_GOOD)
    with at_work(server), server.client() as client:
        client.xadd("nissa:{r}:events", {"type": "OTHER", "json": "{}"})
        wait_for_fold(Side(client, RunKeys("r")))
        found = Diagnosis(server.url)

    assert found.one("owner").seen == "owned"
    # Until it has said so, its run is in no index.
    assert (found.status, found.bad().keys() - {"index"}) == (0, set())


def test_a_bad_server_has_every_fault_named(start_server: StartServer) -> None:
    """A server that is too old, evicts and persists nothing gets all findings at once, each with a remedy."""
    server = start_server(
        REDIS_6,
        "--appendonly",
        "no",
        "--save",
        "",
        "--maxmemory",
        "100mb",
        "--maxmemory-policy",
        "allkeys-lru",
    )

    found = Diagnosis(server.url)
    shown = sanctum("doctor", url=server.url)

    assert (found.status, found.level, shown.status) == (1, "fault", 1)
    assert found.bad() == {"version": "fault", "eviction": "fault", "persistence": "fault"}
    for check, seen, remedy in (
        ("version", "redis 6.2", "Redis 7.0 or newer"),
        ("eviction", "allkeys-lru", "noeviction"),
        ("persistence", "no persistence", "appendonly yes"),
    ):
        said = found.one(check)
        assert seen in said.seen
        assert remedy in said.remedy
        assert seen in shown.out
        assert remedy in shown.out
    assert f"5 checks passed ({server.url}): replicas, permissions, clock" in shown.out


def test_eviction_without_a_limit_is_a_warning(start_server: StartServer) -> None:
    """A policy that has no effect yet is a warning, and the exit status is 1."""
    found = Diagnosis(start_server(VALKEY_9, *_GOOD, "--maxmemory-policy", "allkeys-lfu").url)

    assert (found.status, found.bad()) == (1, {"eviction": "warning"})


def test_a_known_weakness_is_a_note(start_server: StartServer) -> None:
    """A version with a weakness is named together with the fixed version; a note is not a failure."""
    found = Diagnosis(start_server(REDIS_8, *_GOOD).url)

    assert found.status == 0
    assert [(said.level, said.remedy) for said in found.of("version")] == [("note", "use 8.2.9 or newer")]


def test_a_replica_and_a_master_without_one(start_server: StartServer) -> None:
    """A server that takes no writes is a fault: a replica, and a master that waits for replicas that are not there."""
    master = start_server(VALKEY_9, *_GOOD, "--min-replicas-to-write", "1", port=0)
    replica = start_server(VALKEY_9, *_GOOD, "--replicaof", "127.0.0.1", "1")

    assert "refuses writes" in Diagnosis(master.url).one("replicas").seen
    said = Diagnosis(replica.url).one("replicas")
    assert (said.level, said.seen) == ("fault", "it is a replica: it refuses writes")


def test_what_took_long_is_a_note(start_server: StartServer) -> None:
    """A command that kept all others waiting is named."""
    server = start_server(VALKEY_9, *_GOOD, "--slowlog-log-slower-than", "50000")
    busy = """
        local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
        local till = now() + 150
        while now() < till do end
    """
    with server.client() as client:
        client.eval(busy, 0)

    said = Diagnosis(server.url).one("slow log")

    assert said.level == "note"
    assert "EVAL with " in said.seen


def test_keys_that_expire(start_server: StartServer) -> None:
    """An expiring key of Sanctum is a fault; other keys are ignored."""
    server = start_server(VALKEY_9, *_GOOD)
    with server.client() as client:
        client.set("other", "x", ex=100)
        assert Diagnosis(server.url).bad() == {}
        client.hset("nissa:{r}:env:3", "a", "b")
        client.expire("nissa:{r}:env:3", 1000)
        found = Diagnosis(server.url)

    assert (found.status, found.bad()) == (1, {"expiry": "fault"})
    assert "nissa:{r}:env:3" in found.one("expiry").seen


def test_every_server_of_a_cluster_is_checked() -> None:
    """Each server that holds keys has its own findings, and runs are found wherever they are."""
    with closing(Cluster()) as cluster:
        for run in "abc":
            cluster.client().xadd(f"nissa:{{{run}}}:events", {"type": "OTHER", "json": "{}"})
        found = Diagnosis(cluster.url)

    addresses = {f"127.0.0.1:{node.port}" for node in cluster.nodes}
    assert [{said.where for said in found.of(check.name)} for check in SERVER_CHECKS] == [addresses] * len(
        SERVER_CHECKS
    )
    assert {said.where for said in found.of("owner")} == set("abc")


def test_a_server_that_cannot_be_asked(tmp_path: Path) -> None:
    """If no server replies, the exit status differs from that of a finding."""
    ran = sanctum("doctor", "--json", url=f"unix://{tmp_path}/missing")

    assert (ran.status, ran.out) == (2, "")
    assert "no server answers" in ran.err


def test_passwords_are_masked(start_server: StartServer) -> None:
    """The password of the URL is in nothing that is printed."""
    server = start_server(VALKEY_9, *_GOOD)
    server.client().config_set("requirepass", "hunter2")
    url = server.url.replace("unix://", "unix://:hunter2@")

    shown, told = sanctum("doctor", url=url), sanctum("doctor", "--json", url=url)

    assert (shown.status, told.status) == (0, 0)
    assert "hunter2" not in shown.out + shown.err + told.out + told.err
