"""The proxy affects connections exactly as requested."""

import random
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.connection import connect
from tests.support.servers import Server, StartServer, free_port
from tests.support.waiting import wait_until
from tests.system.chaos.proxy import Proxy


@pytest.fixture(name="own")
def _own(start_server: StartServer) -> Server:
    """A server on a port."""
    return start_server(port=free_port())


@pytest.fixture(name="proxy")
def _proxy(own: Server) -> Iterator[Proxy]:
    proxy = Proxy(own.port)
    yield proxy
    proxy.close()


@pytest.fixture(name="client")
def _client(proxy: Proxy) -> Iterator["Redis"]:
    """A client behind the proxy, without retries."""
    with connect(f"redis://127.0.0.1:{proxy.port}/0", timeout_s=0.3) as client:
        yield client


def test_a_cut_connection_ends_at_once_or_in_a_request(proxy: Proxy, client: "Redis") -> None:
    """However it is cut, it is over soon, and the client gets a new one."""
    for seed in range(8):
        before = client.client_id()
        proxy.cut(random.Random(seed), 1.0)  # noqa: S311  # any will do
        wait_until(lambda before=before: _is_over(client, before), "the connection is over")  # type: ignore[misc]
    assert client.ping()


def _is_over(client: "Redis", before: object) -> bool:
    try:
        return client.client_id() != before
    except NoConnection:
        return True


def test_a_swallowed_reply_is_one_of_a_command_that_was_done(
    own: Server, proxy: Proxy, client: "Redis"
) -> None:
    """The worst case of a network for a writer: the request is executed, and the reply is lost."""
    client.ping()
    proxy.swallow(swallowing=True)
    with pytest.raises(TooLate):
        client.incr("n")
    proxy.swallow(swallowing=False)

    assert own.client().get("n") == b"1"
    assert client.get("n") == b"1"


def test_a_stalled_network_goes_on_where_it_was(proxy: Proxy, client: "Redis") -> None:
    """Nothing goes through and no connection ends."""
    client.ping()
    proxy.stall(stalled=True)
    with pytest.raises(TooLate):
        client.ping()
    proxy.stall(stalled=False)

    assert client.ping()


def test_a_server_that_is_away_is_no_connection(own: Server, proxy: Proxy, client: "Redis") -> None:
    """Behind the proxy a dead server looks dead, and one that is back is there."""
    client.ping()
    own.kill()
    with pytest.raises(NoConnection):
        client.ping()
    own.start()

    assert client.ping()
