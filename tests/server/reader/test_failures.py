"""Following through failures: an unreachable server, and change notifications that do not arrive."""

import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoPermissionError

from tests.support.reader_runs import PATIENCE_S, RUN, Training, ticks, until
from tests.support.readers import Shell, Shells
from tests.support.servers import StartServer
from tests.support.waiting import wait_until


def test_a_restarted_server_is_followed_on(
    start_server: StartServer, shells: Shells, caplog: pytest.LogCaptureFixture
) -> None:
    """While the server is down the follower retries, logs it once, and continues from its last snapshot."""
    server = start_server()
    training = Training(server)
    training.tick()
    training.fold()
    views = shells.open(server.url).follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    first = next(views)
    last = training.tick()
    server.kill()
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(next, views)
        wait_until(lambda: "retrying" in caplog.text, "the failure is logged")
        server.start()
        behind = second.result(PATIENCE_S)
    training.fold()
    third = until(views, last)[-1]
    views.close()

    assert (behind.version, behind.last_id) == (first.version, last)
    assert ticks(third) == {"a": 2}
    assert [record.message.partition(",")[0] for record in caplog.records] == [
        "cannot read run r",
        "can read run r again",
    ]


def test_a_frozen_server_is_waited_for(
    start_server: StartServer, shells: Shells, caplog: pytest.LogCaptureFixture
) -> None:
    """A frozen server, which closes no connection, is detected by the time-out and waited for."""
    server = start_server()
    training = Training(server)
    training.tick()
    training.fold()
    reader = shells.open(f"{server.url}&socket_timeout=0.5")
    views = reader.follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    next(views)
    last = training.tick()
    os.kill(server.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(next, views)
        wait_until(lambda: "retrying" in caplog.text, "the failure is logged")
        os.kill(server.pid, signal.SIGCONT)
        view = second.result(PATIENCE_S)
        views.close()

    assert view.last_id == last


def test_trouble_that_lasts_is_raised_at_the_end(
    start_server: StartServer, shells: Shells, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is down for `idle_s` raises an error and does not end the iteration. It is logged once."""
    server = start_server()
    training = Training(server)
    training.tick()
    training.fold()
    views = shells.open(server.url).follow(RUN, poll_s=0.02, idle_s=0.5)
    next(views)
    server.kill()

    with caplog.at_level(logging.WARNING), pytest.raises((ConnectionLost, OSError)):
        next(views)

    assert [record.message.partition(":")[0] for record in caplog.records] == ["cannot read run r, retrying"]


def test_trouble_at_the_beginning_is_raised(start_server: StartServer, shells: Shells) -> None:
    """A failure of the first read is raised."""
    server = start_server()
    reader = shells.open(server.url)
    server.kill()

    with pytest.raises((ConnectionLost, OSError)):
        next(reader.follow(RUN))


def test_trouble_that_does_not_pass_is_raised(training: Training, shells: Shells) -> None:
    """An error that cannot pass is raised."""
    training.client.execute_command("ACL", "SETUSER", "reader", "on", ">word", "~*", "&*", "+@all")
    training.tick()
    reader = shells.over(training.server.url, username="reader", password="word")  # noqa: S106  # of this test
    views = reader.follow(RUN, poll_s=0.02, idle_s=PATIENCE_S)
    next(views)
    training.client.execute_command("ACL", "SETUSER", "reader", "-eval_ro", "-evalsha_ro")

    with pytest.raises(NoPermissionError):
        next(views)
    training.client.execute_command("ACL", "DELUSER", "reader")


def test_missed_hints_cost_time_alone(training: Training, reader: Shell) -> None:
    """A follower whose subscription is killed repeatedly still yields every lasting state."""
    training.tick()
    killed = 0
    with training.folding():
        views = reader.follow(RUN, poll_s=0.3, idle_s=PATIENCE_S)
        next(views)
        for _ in range(5):
            until(views, training.tick())
            killed += training.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        last = until(views, training.tick())[-1]
        views.close()

    assert ticks(last) == {"a": 7}
    assert killed > 1


def test_a_user_that_may_not_subscribe_polls(training: Training, shells: Shells) -> None:
    """A user without rights to channels gets no notifications, and polls."""
    user = ("reader", "on", ">word", "~*", "resetchannels", "+@all")
    training.client.execute_command("ACL", "SETUSER", *user)
    training.client.execute_command("ACL", "LOG", "RESET")
    training.tick()
    training.fold()
    reader = shells.over(training.server.url, username="reader", password="word")  # noqa: S106  # of this test
    views = reader.follow(RUN, poll_s=0.2, idle_s=PATIENCE_S)
    next(views)
    with training.folding():
        seen = [until(views, training.tick())[-1] for _ in range(3)]
    connected = training.client.client_list()
    views.close()
    refused = training.client.execute_command("ACL", "LOG")
    training.client.execute_command("ACL", "DELUSER", "reader")

    assert [view.events for view in seen] == [2, 3, 4]
    assert len(refused) == 1
    assert len([one for one in connected if one["user"] == "reader"]) == 1


def test_a_burst_of_hints_is_one_look(training: Training, reader: Shell) -> None:
    """Notifications that wait together are taken together, and cause one read."""
    training.tick()
    training.fold()
    training.client.config_resetstat()
    views = reader.follow(RUN, poll_s=600, idle_s=1.0)
    with ThreadPoolExecutor(1) as thread:
        next(views)
        rest = thread.submit(list, views)
        wait_until(lambda: training.client.execute_command("PUBSUB", "SHARDCHANNELS"), "it is subscribed")
        with training.client.pipeline(transaction=False) as pipe:
            for _ in range(500):
                pipe.execute_command("SPUBLISH", training.keys.changed, "text")
            pipe.execute()
        assert rest.result(PATIENCE_S) == []

    reads = training.client.info("commandstats")["cmdstat_evalsha_ro"]["calls"]
    assert reads < 10
