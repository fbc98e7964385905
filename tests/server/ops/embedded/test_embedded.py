"""The embedded server: found or refused, alone, private, durable, and never left behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from sanctum_bus.errors import ServerNotFound
from sanctum_bus.ops.embedded import EmbeddedServer, process, running_server
from sanctum_bus.ops.embedded.state_dir import locked
from tests.support.paths import ROOT
from tests.support.servers import SUPPORTED, ServerKind, free_port, is_gone, require, tcp_listeners
from tests.support.waiting import wait_until

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, or is a promise for Linux only")

# A supervisor that prints the PID of its server, then waits to be killed.
SUPERVISOR = """
import signal, sys
from pathlib import Path
from sanctum_bus.ops.embedded import EmbeddedServer
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
server = EmbeddedServer.start(Path(sys.argv[1]))
print(server.pid, flush=True)
signal.pause()
"""


@contextmanager
def supervised_elsewhere(state_dir: Path) -> Iterator[int]:
    """A server whose supervisor is another process, killed at the end; yields the server's pid."""
    command = [sys.executable, "-c", SUPERVISOR, str(state_dir)]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "worker")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as supervisor:
        assert supervisor.stdout is not None
        try:
            yield int(supervisor.stdout.readline())
        finally:
            supervisor.kill()


@contextmanager
def client_of(kind: ServerKind, state_dir: Path) -> Iterator[Redis]:
    """A client of a server that runs for as long as the client is needed."""
    with (
        EmbeddedServer.start(state_dir, binary=require(kind)) as server,
        Redis.from_url(server.url) as client,
    ):
        yield client


@pytest.mark.parametrize("kind", SUPPORTED, ids=lambda kind: kind.name)
class TestEveryServer:
    """Rules for every supported server."""

    def test_the_data_survives_stop_and_start(self, kind: ServerKind, tmp_path: Path) -> None:
        """The append-only file in the state directory is the data; nothing is ever evicted from it."""
        with client_of(kind, tmp_path) as client:
            client.xadd("events", {"type": "SEED_CULLED"}, id="1-1")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

        with client_of(kind, tmp_path) as client:
            assert client.xrange("events") == [(b"1-1", {b"type": b"SEED_CULLED"})]

    @linux_only
    def test_a_socket_is_private_and_alone(self, kind: ServerKind, tmp_path: Path) -> None:
        """Without a port nothing listens on TCP, and only the user may open the socket."""
        with EmbeddedServer.start(tmp_path / "s", binary=require(kind)) as server:
            assert tcp_listeners(server.pid) == []
            for path in (Path(urlsplit(server.url).path), server.state_dir):
                assert stat.S_IMODE(path.stat().st_mode) == 0o700

    @linux_only
    def test_a_port_is_loopback_only(self, kind: ServerKind) -> None:
        """With a port the server listens on 127.0.0.1 and on no other address."""
        port = free_port()
        with EmbeddedServer.start(port=port, binary=require(kind)) as server:
            assert server.url == f"redis://127.0.0.1:{port}/0"
            assert tcp_listeners(server.pid) == [f"0100007F:{port:04X}"]


class TestAlone:
    """One server per state directory, and how others find it."""

    def test_it_is_announced_while_it_runs(self, tmp_path: Path) -> None:
        """`running_server` gives the URL from start to stop, and nothing before and after."""
        assert running_server(tmp_path) is None
        with EmbeddedServer.start(tmp_path) as server:
            assert running_server(tmp_path) == server.url
            assert json.loads((tmp_path / "server.json").read_text())["pid"] == server.pid
            assert server.wait(0.0) is None
        assert running_server(tmp_path) is None
        assert not (tmp_path / "server.json").exists()
        assert server.wait() == 0

    @pytest.mark.parametrize(
        "text", ["", "{}", "[]", '{"url": "none", "pid": 1, "host": "h"}', '{"url": 1, "pid": "x"}']
    )
    def test_a_damaged_announcement_counts_as_none(self, tmp_path: Path, text: str) -> None:
        """Whatever stands in `server.json`, asking for the server never raises, and a start puts it right."""
        (tmp_path / "server.json").write_text(text)

        assert running_server(tmp_path) is None
        with EmbeddedServer.start(tmp_path) as server:
            assert running_server(tmp_path) == server.url

    def test_a_stale_announcement_counts_as_none(self, tmp_path: Path) -> None:
        """The record of a killed server does not count as a server, even if another process replies at its address."""
        with EmbeddedServer.start(tmp_path / "a") as killed, EmbeddedServer.start(tmp_path / "b") as other:
            stale = json.loads((tmp_path / "a" / "server.json").read_text())
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
            assert running_server(tmp_path / "a") is None

            (tmp_path / "a" / "server.json").write_text(json.dumps(stale | {"url": other.url}))
            assert running_server(tmp_path / "a") is None

    def test_a_late_stop_does_not_hide_a_newer_server(self, tmp_path: Path) -> None:
        """A supervisor takes back its own announcement only; what its killed server said last is kept."""
        with EmbeddedServer.start(tmp_path) as killed:
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
            with EmbeddedServer.start(tmp_path) as newer:
                killed.stop()
                assert running_server(tmp_path) == newer.url
                assert f"{killed.pid}:" in (tmp_path / "server.log.1").read_text()

    def test_a_second_start_is_refused(self, tmp_path: Path) -> None:
        """Two servers never write the same data; the message names the first one."""
        with EmbeddedServer.start(tmp_path) as server:
            with pytest.raises(ServerNotFound, match="already runs") as refused:
                EmbeddedServer.start(tmp_path)
            assert server.url in str(refused.value)
            assert running_server(tmp_path) == server.url

    def test_the_lock_is_the_servers_own(self, tmp_path: Path) -> None:
        """The directory stays locked for as long as the server lives, whatever became of its announcement."""
        with EmbeddedServer.start(tmp_path):
            (tmp_path / "server.json").unlink()
            with pytest.raises(ServerNotFound, match=r"another process"), locked(tmp_path, deadline_s=0.0):
                pass

    def test_a_port_in_use_is_not_taken_for_ours(self) -> None:
        """Another server's answer does not count; the message has the server's own reason."""
        port = free_port()
        with (
            EmbeddedServer.start(port=port),
            pytest.raises(ServerNotFound, match=r"(?s)exited with .*in use"),
        ):
            EmbeddedServer.start(port=port)


class TestNothingIsLeft:
    """No process and no temporary file outlives its purpose."""

    @linux_only
    def test_it_ends_with_a_supervisor_that_is_killed(self, tmp_path: Path) -> None:
        """After SIGKILL of the supervisor the server ends, and the next start has the data at once."""
        with supervised_elsewhere(tmp_path) as pid, Redis.from_url(running_server(tmp_path) or "") as client:
            client.set("kept", 1)

        with EmbeddedServer.start(tmp_path) as server, Redis.from_url(server.url) as client:
            assert client.get("kept") == b"1"
            wait_until(lambda: is_gone(pid), "the killed supervisor's server is gone")

    def test_a_temporary_directory_goes_with_the_server(self) -> None:
        """Without a state directory nothing stays on the disk; a second stop does nothing."""
        server = EmbeddedServer.start()
        assert (server.state_dir / "appendonlydir").is_dir()
        server.stop()
        server.stop()
        assert not server.state_dir.exists()

    def test_a_long_state_directory_gets_a_short_socket(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A socket's path is limited to about 100 bytes; the data stays in the requested directory."""
        short = Path(tempfile.mkdtemp(prefix="st-"))
        monkeypatch.setattr(tempfile, "tempdir", str(short))
        home = tmp_path / ("x" * 100)
        with EmbeddedServer.start(home) as server, Redis.from_url(server.url) as client:
            assert client.ping()
            assert (home / "appendonlydir").is_dir()
        short.rmdir()

        monkeypatch.setattr(tempfile, "tempdir", str(home))
        with pytest.raises(ServerNotFound, match="too long for a Unix socket"):
            EmbeddedServer.start(home)

    def test_a_failed_start_says_why_and_leaves_nothing(self, tmp_path: Path) -> None:
        """The message has the server's last words, or that it said nothing in time; its process is gone."""
        with pytest.raises(ServerNotFound, match=r"(?s)exited with status 1.*Bad directive"):
            EmbeddedServer.start(tmp_path, options=["--nonsense", "1"])
        with pytest.raises(ServerNotFound, match="did not reply within 0 s"):
            EmbeddedServer.start(tmp_path, deadline_s=0.0)
        with locked(tmp_path, deadline_s=0.0):
            assert not (tmp_path / "server.json").exists()

    def test_the_last_words_are_one_line(self, tmp_path: Path) -> None:
        """The message has the line of the log that explains the failure, without its prefix."""
        (tmp_path / "appendonlydir").mkdir()
        (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("rubbish\n")

        with pytest.raises(
            ServerNotFound, match=r"Last log lines: Invalid AOF manifest file format$"
        ) as refused:
            EmbeddedServer.start(tmp_path)
        assert "\n" not in str(refused.value)

    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        """If the port is in use, the message names the reason and the remedy."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(ServerNotFound) as refused:
                EmbeddedServer.start(tmp_path, port=port)

        assert str(refused.value).endswith(
            f"127.0.0.1:{port}: bind: Address already in use. Stop what uses the port, or choose another --port."
        )
        assert "\n" not in str(refused.value)

    def test_a_directory_that_cannot_be_used_is_named(self, tmp_path: Path) -> None:
        """Trouble with the file system is a NoServer with the path in it."""
        (tmp_path / "file").touch()
        with pytest.raises(ServerNotFound, match=r"/file'.*SANCTUM_STATE_DIR"):
            EmbeddedServer.start(tmp_path / "file")

    @linux_only
    def test_only_the_main_thread_may_start_it(self) -> None:
        """Linux ends a server with the thread that started it, so a short-lived thread is refused."""
        with ThreadPoolExecutor(1) as pool, pytest.raises(ServerNotFound, match="main thread"):
            pool.submit(EmbeddedServer.start).result()

    def test_a_terminal_and_a_freeze_do_not_decide_its_end(self) -> None:
        """Ctrl-C reaches the supervisor only; a server that does not react to SIGTERM is killed."""
        with EmbeddedServer.start() as server:
            assert os.getsid(server.pid) == server.pid
            os.kill(server.pid, signal.SIGSTOP)
            process.end(server._process, deadline_s=0.1)
            assert server.wait() == -signal.SIGKILL
