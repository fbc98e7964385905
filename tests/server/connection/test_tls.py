"""TLS: the checks of certificates, and the errors if TLS or credentials are wrong."""

import asyncio

import pytest

from sanctum_bus import Publisher
from sanctum_bus.connection import connect
from sanctum_bus.errors import ConfigurationError, InvalidArgument
from sanctum_bus.worker.settings import load
from sanctum_bus.worker.supervisor import Worker
from tests.support.certificates import Certificates, make_certificates
from tests.support.commands import sanctum
from tests.support.servers import REDIS_7
from tests.support.topologies import Cluster, Security, Sentinels, TlsServer
from tests.support.waiting import wait_until
from tests.support.whole_way import (
    PATIENCE_S,
    PUBLISHER,
    READER,
    WORKER,
    Following,
    Start,
    assert_folded,
    feeding,
    last_number,
    working,
)


def test_the_whole_way_with_certificates_on_both_sides(
    start: Start, secured: Security, certificates: Certificates
) -> None:
    """Certificates on both sides and users work together."""
    server = start(TlsServer, REDIS_7, secured)
    # Connected before the server requires a certificate: this client has none.
    admin = server.client()
    admin.config_set("tls-auth-clients", "yes")

    def url_of(user: str) -> str:
        return str(server.url_of(user)).replace(certificates.query, certificates.client_query)

    with feeding(url_of(PUBLISHER), "r") as (feed,), working(url_of(WORKER)):
        feed.send()
        feed.arrive()
        wait_until(lambda: last_number(url_of(READER), "r") == 49, "the events are folded", PATIENCE_S)
        for kind in ("sync", "async"):
            Following(url_of(READER), "r", kind).finish(feed)
        feed.finish()

        assert_folded(admin, feed)


def certificates_of(security: Security) -> Certificates:
    """Return the certificates of a deployment that has some."""
    assert security.tls is not None
    return security.tls


def _refused(url: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(Worker(load(redis_url=url, socket_timeout_s=2.0, poll_timeout_ms=100)).run())
    return str(caught.value)


@pytest.fixture(name="stranger", scope="module")
def _stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of an authority that the servers do not trust."""
    return make_certificates(tmp_path_factory.mktemp("stranger"))


@pytest.mark.parametrize("kind", [TlsServer, Sentinels, Cluster])
def test_what_will_not_pass_is_said_at_the_start(
    start: Start, secured: Security, stranger: Certificates, kind: type
) -> None:
    """A worker exits at the start if the authority, the scheme or the password is wrong."""
    servers = start(kind, REDIS_7, **({} if kind is TlsServer else {"replicas": 0}), security=secured)
    url, authority = servers.url_of(WORKER), str(certificates_of(secured).ca)

    assert "ssl_ca_certs" in _refused(url.replace(authority, str(stranger.ca)))
    assert "use rediss://" in _refused(url.replace("rediss", "redis").partition("?")[0])
    wrong = _refused(url.replace(":change-me-worker", ":wrong-password"))
    assert "rejected the credentials" in wrong
    assert "wrong-password" not in wrong


def test_the_name_of_the_host_is_checked(start: Start, certificates: Certificates) -> None:
    """A certificate for another name is refused, unless the URL disables the check of names."""
    server = start(TlsServer, REDIS_7, Security(certificates))
    url = server.url.replace("127.0.0.1", "localhost")

    assert "Hostname mismatch" in _refused(url)
    with connect(f"{url}&ssl_check_hostname=false") as client:
        assert client.ping()


def _try_three_times(publisher: Publisher) -> None:
    publisher.emit({"event_type": "X"})
    wait_until(lambda: publisher.stats.errors > 2, "three attempts failed", PATIENCE_S)
    publisher.close(0)


def test_a_publisher_says_it_once(
    start: Start, secured: Security, stranger: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Wrong TLS settings or credentials do not stop the training, and cause one log line."""
    server = start(TlsServer, REDIS_7, secured)
    url, authority = server.url_of(PUBLISHER), str(certificates_of(secured).ca)
    cases = {
        url.replace(authority, str(stranger.ca)): "CERTIFICATE_VERIFY_FAILED",
        url.replace("change-me", "wrong"): "invalid username-password pair",
    }
    for wrong, expected in cases.items():
        caplog.clear()
        _try_three_times(Publisher("r", url=wrong))

        lines = [line.message for line in caplog.records if "cannot send events" in line.message]
        assert len(lines) == 1
        assert expected in lines[0]


def test_a_file_that_is_missing_is_said_before_anything_is_asked() -> None:
    """A missing file that the URL names is an invalid URL."""
    url = "rediss://localhost/0?ssl_ca_certs=/no/such/file"

    assert "file not found: /no/such/file" in _refused(url)
    with pytest.raises(InvalidArgument, match="file not found"):
        Publisher("r", url=url)


def test_a_command_says_what_is_wrong(start: Start, certificates: Certificates) -> None:
    """The error of a command states that the server requires TLS."""
    server = start(TlsServer, REDIS_7, Security(certificates))
    ran = sanctum("--redis", f"redis://127.0.0.1:{server.port}/0", "runs")

    assert ran.status == 1
    assert "use rediss://" in ran.err
