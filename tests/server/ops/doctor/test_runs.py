"""`sanctum doctor` on runs that are in trouble."""

from typing import Any

import pytest
from redis import Redis

from sanctum_bus.protocol import keys
from sanctum_bus.protocol.key_types import fixed_rows
from sanctum_bus.protocol.keys import GROUP, RunKeys
from tests.support.commands import Run, sanctum
from tests.support.doctor import Diagnosis
from tests.support.servers import Server, StartServer

RUN = RunKeys("r")
EVENT = {"event_type": "OTHER", "data": {}}
ENTRY: dict[Any, Any] = {"type": "OTHER", "json": "{}"}


#: Every key of the run that has to have a type, a section among them.
each_key = pytest.mark.parametrize(
    "name",
    [*sorted({*RUN.fixed} - {RUN.none}), RUN.section("event:OTHER")],
    ids=lambda name: name.rpartition(":")[2],
)


def folded(server: Server) -> Redis:
    """A client of a server with a run that a worker has folded and given up."""
    Run(server.url).publish(EVENT)
    return server.client()


def test_a_lagging_group_without_a_worker(server: Server) -> None:
    """The finding about waiting entries has their number, their waiting time, and the missing worker."""
    client = server.client()
    for number in range(3):
        client.xadd(RUN.events, ENTRY, id=f"{number + 5}-0")
    client.xgroup_create(RUN.events, GROUP, "0", entries_read=0)

    found = Diagnosis(server.url)

    assert found.status == 1
    assert found.one("lag").level == "warning"
    assert found.one("lag").seen.endswith("not yet delivered: 3")
    assert found.one("owner").level == "fault"
    assert "no worker is alive" in found.one("owner").seen


def test_a_run_that_no_worker_takes(valkey: Server) -> None:
    """If workers are alive and a run still waits for long, that is a fault, and its last owner is named."""
    client = folded(valkey)
    client.hset(RUN.checkpoint, mapping={"owner": "gone", "version": "1-0"})
    seconds, _ = client.time()
    client.zadd(keys.workers(), {"alive": (seconds + 1000) * 1000, "gone": (seconds - 1) * 1000})
    client.delete(RUN.events)
    client.xadd(RUN.events, ENTRY, id="5-0")

    said = Diagnosis(valkey.url).one("owner")

    assert said.level == "fault"
    assert said.seen == "entries wait and no worker acquires the run; its last owner gone is not alive"


def test_parked_and_lost_entries(start_server: StartServer) -> None:
    """Dead letters and lost events are warnings with their number."""
    server = start_server()
    client, run = folded(server), Run(server.url)
    for seq in ("1", "5"):
        client.xadd(RUN.events, ENTRY | {"producer": "p", "seq": seq})
    client.xadd(RUN.events, {"type": "OTHER", "json": "no json"})
    run.drain()

    found = Diagnosis(server.url)

    assert (found.status, found.bad()) == (1, {"parked": "warning", "lost": "warning"})
    assert "1 kept, 1 in total" in found.one("parked").seen
    assert found.one("parked").remedy == (
        "run 'sanctum dead-letters r'; if a reason names it, 'sanctum rebuild r'; "
        "otherwise fix the cause, then --requeue or --delete them"
    )
    assert found.one("lost").seen == "lost events: gap 3"


def test_what_it_says_to_do_about_a_section_that_was_spoilt_helps(start_server: StartServer) -> None:
    """If a section was changed by hand, the dead letters it caused name a rebuild as the remedy, and the rebuild works."""
    server = start_server()
    client, run = folded(server), Run(server.url)
    client.hset(RUN.section("event:OTHER"), "count", "garbage")
    run.publish(EVENT)

    remedy = Diagnosis(server.url).one("parked").remedy
    assert "rebuild the run" in run.good("dead-letters", "r").out
    assert "if a reason names it, 'sanctum rebuild r'" in remedy
    run.good("rebuild", "r", "--yes")

    assert Diagnosis(server.url).one("parked").level == "ok"
    assert run.good("runs", "--json").json["parked"] == 0
    assert run.good("show", "r", "--json").json["sections"]["event:OTHER"]["count"] == 2


def test_somebody_else_reads_with_the_group(valkey: Server) -> None:
    """A second consumer is named; what it was given is pending, and its reader gone."""
    client = folded(valkey)
    client.xadd(RUN.events, ENTRY)
    client.xreadgroup(GROUP, "thief", {RUN.events: ">"})

    found = Diagnosis(valkey.url)

    assert found.one("group").level == "warning"
    assert "2 consumers" in found.one("group").seen
    assert found.one("pending").level == "warning"
    assert found.one("pending").seen.endswith("1 entries")


def test_a_commit_that_died_half_way(valkey: Server) -> None:
    """A torn checkpoint is a warning without a live worker."""
    folded(valkey).hset(RUN.checkpoint, "version", "torn")

    assert Diagnosis(valkey.url).bad()["commit"] == "warning"


def test_a_run_that_cannot_be_read(valkey: Server) -> None:
    """A key of the wrong type hides one run, not the others."""
    client = folded(valkey)
    client.set("nissa:{a}:checkpoint", "x")
    client.set("nissa:{b}:events", "x")
    client.zadd(keys.runs(), {"a": 2, "b": 1, "gone": 3})

    found = Diagnosis(valkey.url)

    assert found.one("commit").where == "r"
    said = found.of("types")
    assert [(one.where, one.level) for one in said] == [("r", "ok"), ("a", "fault"), ("b", "fault")]
    assert [one.seen for one in said[1:]] == [
        "nissa:{a}:checkpoint has type string, expected hash",
        "nissa:{b}:events has type string, expected stream",
    ]


@each_key
def test_a_key_of_the_wrong_type(server: Server, name: str) -> None:
    """Whichever key it is: a fault that names it, its type, and what to do; no owner is there to make it again."""
    client = folded(server)
    client.delete(name)
    client.rpush(name, "x")

    found = Diagnosis(server.url)

    said = found.one("types")
    assert (found.status, said.where, said.level) == (1, "r", "fault")
    assert said.seen.startswith(f"{name} has type list, expected ")
    by_hand = name in {RUN.events, RUN.checkpoint, RUN.producers}
    assert said.remedy.startswith(
        "rename or delete it" if by_hand else "run 'sanctum rebuild r' to recreate it"
    )


@each_key
def test_what_it_says_to_do_about_a_type_helps(start_server: StartServer, name: str) -> None:
    """The remedy of each finding about a key's type repairs the run."""
    server = start_server()
    client, run = folded(server), Run(server.url)
    client.delete(name)
    client.set(name, "x")

    if Diagnosis(server.url).one("types").remedy.startswith("sanctum rebuild r "):
        run.good("rebuild", "r", "--yes")
    else:
        client.delete(name)
    run.publish(EVENT)

    assert Diagnosis(server.url).one("types").level == "ok"
    assert run.good("runs", "--json").json["state"] == "ended"


def test_what_stands_where_a_section_may_come(start_server: StartServer) -> None:
    """A key of any type under the name of a section that the run does not have does no harm, now or when it comes."""
    server = start_server()
    client, run = folded(server), Run(server.url)
    client.set(RUN.section("policy"), "x")

    assert Diagnosis(server.url).one("types").level == "ok"
    run.publish({"event_type": "PPO_UPDATE_COMPLETED", "data": {"entropy": 1.0}})

    assert run.good("show", "r", "policy", "--json").json["sections"]["policy"]["entropy"] == 1.0


@pytest.mark.parametrize("key", [*fixed_rows()])
def test_a_key_of_all_runs_has_the_wrong_type(valkey: Server, key: str) -> None:
    """A key without which no worker can work is a fault, not a thing that could not be looked at."""
    client = folded(valkey)
    client.delete(key)
    client.set(key, "x")

    found = Diagnosis(valkey.url)

    said = found.of("types")[0]
    assert (found.status, said.where, said.level) == (1, "every run", "fault")
    assert said.seen.startswith(f"{key} has type string, expected ")
    assert said.remedy.startswith("rename or delete it")
    # The other checks are made.
    assert len(found.of("owner")) == (key not in {keys.runs(), keys.workers()})


def test_a_run_that_is_not_registered(start_server: StartServer) -> None:
    """A run that only a scan finds is a note, which is not a failure."""
    server = start_server()
    folded(server).delete(keys.runs())

    found = Diagnosis(server.url)

    assert (found.status, found.bad()) == (0, {"index": "note"})


def test_many_runs_in_the_same_trouble(valkey: Server) -> None:
    """People see ten runs of a kind and how many more there are; tools see all."""
    client = valkey.client()
    for number in range(12):
        client.xadd(f"nissa:{{r{number}}}:events", ENTRY)

    assert len(Diagnosis(valkey.url).of("owner")) == 12
    shown = sanctum("doctor", url=valkey.url).out
    assert sum(" no worker is alive" in line for line in shown.splitlines()) == 10
    assert "and 2 more" in shown
