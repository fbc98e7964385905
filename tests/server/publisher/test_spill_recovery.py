"""Spill files of dead processes: their format, and their recovery by the next publisher."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest

from sanctum_bus.errors import SpillUnreadable
from sanctum_bus.publisher import Publisher, sender
from sanctum_bus.publisher.entry import Entry
from sanctum_bus.publisher.spill import recovery
from sanctum_bus.publisher.spill.files import SpillFolder, SpillHeader, folder_for, pack, unpack
from tests.server.publisher.test_processes import by_producer, run
from tests.support.published import RUN, entries, folded
from tests.support.servers import VALKEY_9, Server, StartServer
from tests.support.waiting import wait_until

HEADER = SpillHeader("nissa", RUN, "p-1")
SOME = [Entry(4, "A", b"a"), Entry(6, "Ä", b"\x00" * 300), Entry(1 << 40, "C", b"")]


def test_a_file_holds_what_was_put_in() -> None:
    """`unpack` returns the header and the events that `pack` was given."""
    assert unpack(pack(HEADER, SOME)) == (HEADER, SOME, 0)


@pytest.mark.parametrize("cut", [1, 5, 9, 18])
def test_a_torn_tail(cut: int) -> None:
    """A truncated file loses only its last event."""
    data = pack(HEADER, SOME)[:-cut]

    owner, found, torn = unpack(data)

    assert (owner, found[:1]) == (HEADER, SOME[:1])
    assert len(found) == 2
    assert torn


def test_a_bit_that_has_turned() -> None:
    """Events after a damaged frame are not read."""
    data = bytearray(pack(HEADER, SOME))
    data[-30] ^= 1

    assert unpack(bytes(data))[1] == SOME[:1]


@pytest.mark.parametrize("data", [b"", b"hello, world", bytes(64), pack(HEADER, SOME)[5:]])
def test_a_file_that_is_none_of_ours(data: bytes) -> None:
    """Any file that is not a spill file raises SpillUnreadable."""
    with pytest.raises(SpillUnreadable):
        unpack(data)


def test_one_folder_has_one_owner(tmp_path: Path) -> None:
    """Only one process can hold the lock of a folder. A producer's ID cannot lead outside of the directory."""
    odd = SpillHeader("nissa", RUN, "../../näme-0123456789ab")
    one, other = folder_for(tmp_path, odd), folder_for(tmp_path, odd)
    one.write(1, b"x")

    assert one.path.parent == tmp_path / RUN
    with pytest.raises(BlockingIOError):
        other.acquire()
    one.release()
    other.acquire()
    other.release()


def leave(where: Path, owner: SpillHeader, *files: list[Entry], cut: int = 0) -> SpillFolder:
    """Write files like a producer that has crashed since."""
    folder = folder_for(where, owner)
    for rows in files:
        data = pack(owner, rows)
        folder.write(rows[0].seq, data[: len(data) - cut])
    folder.release()
    return folder


def packed(number: int) -> bytes:
    """Return the bytes of an event."""
    # The map {"data": {"n": number}}.
    return b"\x81\xa4data\x81\xa1n" + bytes([number])


def test_what_is_torn_or_foreign_is_kept(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Complete events are sent. A file that was not sent completely is kept, unless it is empty, and the log names it."""
    rows = [Entry(seq, "STEP", packed(seq)) for seq in (3, 4, 7)]
    torn = leave(tmp_path, HEADER, rows, cut=3)
    (torn.path / f"{8:020}.spill").touch()
    (torn.path / f"{9:020}.spill").write_bytes(b"nonsense")
    foreign = leave(tmp_path, SpillHeader("other", RUN, "p-2"), rows)
    with (
        caplog.at_level(logging.WARNING, logger="sanctum_bus.publisher"),
        Publisher(RUN, url=server.url, spill_path=tmp_path),
    ):
        pass

    assert [(one.producer, one.seq) for one in entries(server.client())] == [("p-1", 3), ("p-1", 4)]
    assert sorted(path.suffix for path in torn.path.iterdir() if path.name != "lock") == [".spill", ".torn"]
    assert len(foreign.files()) == 1
    for words in (
        f"is truncated (24 trailing bytes not sent); kept as {torn.path / f'{3:020}.torn'}",
        f"cannot read {torn.path / f'{9:020}.spill'}; the file stays",
        f"belongs to run {RUN} with key prefix other; the file stays",
    ):
        assert words in caplog.text


def test_holes_between_files_are_told(server: Server, tmp_path: Path) -> None:
    """Numbers that the dead producer dropped between its files count as dropped; those before its first file as a gap."""
    leave(tmp_path, HEADER, [Entry(3, "STEP", packed(3))], [Entry(6, "STEP", packed(6))])
    with Publisher(RUN, url=server.url, spill_path=tmp_path):
        pass

    assert folded(server.client()).counters.lost == {"before this history": 2, "dropped": 2}


KILLED = f"""
import os, signal, sys, time
from sanctum_bus.publisher import Publisher

publisher = Publisher("{RUN}", url=sys.argv[1], spill_path=sys.argv[2], buffer_events=20, batch_events=7)
publisher.emit({{"type": "STEP", "data": {{"number": 1}}}})
assert publisher.flush(20)
print(publisher.producer, flush=True)
sys.stdin.readline()
for number in range(2, 300):
    publisher.emit({{"type": "STEP", "data": {{"number": number}}}})
    while len(publisher._producer.buffer._memory) > 14:
        time.sleep(0.001)
print("there", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_was_killed(start_server: StartServer, tmp_path: Path) -> None:
    """After a kill the next publisher of the run sends the files, under the original numbers, and they are folded once."""
    server = start_server()
    command = [sys.executable, "-c", KILLED, server.url, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        server.kill()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "there\n"
        os.kill(process.pid, signal.SIGKILL)
    assert list(tmp_path.rglob("*.spill"))
    server.start()
    with Publisher(RUN, url=server.url, spill_path=tmp_path) as second:
        second.emit({"type": "STEP"})
        assert second.flush(20)

    old, new = by_producer(entries(server.client()))
    assert {one.producer for one in old} == {name}
    found = [one.body["data"]["number"] for one in old]
    assert found[0] == 1
    assert len(found) > 200
    assert found == sorted(set(found))
    assert [one.type for one in new] == ["STEP", "_closed"]
    assert list(tmp_path.rglob("*.spill")) == []


FORK = f"""
import os, sys, time
from sanctum_bus.publisher import Publisher

publisher = Publisher("{RUN}", url=sys.argv[1], spill_path=sys.argv[2], buffer_events=20, linger_s=0)
def emit(name):
    for number in range(300):
        publisher.emit({{"type": name, "data": {{"number": number}}}})
        while len(publisher._producer.buffer._memory) > 14:
            time.sleep(0.001)
emit("PARENT")
pid = os.fork()
if not pid:
    assert publisher.stats.emitted == publisher.stats.spilled == 0
    emit("CHILD")
    stats = publisher.close(20)
    os._exit(0 if (stats.sent, stats.dropped, stats.spilled) == (300, 0, 0) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
emit("PARENT")
stats = publisher.close(20)
print(stats.sent, stats.dropped, stats.spilled)
"""


def test_after_a_fork_each_has_its_own_files(server: Server, tmp_path: Path) -> None:
    """A forked child spills to a separate folder, and does not touch its parent's."""
    assert run(FORK, server.url, str(tmp_path)) == "600 0 0"

    parent, child = by_producer(entries(server.client()))
    assert [one.seq for one in parent] == list(range(1, 602))
    assert [one.seq for one in child] == list(range(1, 302))
    assert list(tmp_path.rglob("*")) == []


def test_what_the_server_does_not_take_keeps_nobody_else_waiting(
    start_server: StartServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A spill file that the server refuses stays and is retried; the publisher's events are sent meanwhile."""
    monkeypatch.setattr(recovery, "_ATTEMPTS", 2)
    monkeypatch.setattr(sender, "_RECOVERY_INTERVAL_S", 0.05)
    server = start_server(VALKEY_9, "--proto-max-bulk-len", "1mb")
    folder = leave(tmp_path, HEADER, [Entry(1, "LARGE", msgpack.packb({"data": {"x": "x" * (3 << 20)}}))])
    leave(tmp_path, HEADER._replace(producer="p-2"), [Entry(1, "SMALL", msgpack.packb({"data": {}}))])

    publisher = Publisher(RUN, url=server.url, spill_path=tmp_path)
    with caplog.at_level(logging.WARNING, "sanctum_bus.publisher"):
        publisher.emit({"type": "OWN"})
        assert publisher.flush(20)
    sent = [one.type for one in entries(server.client())]
    server.client().config_set("proto-max-bulk-len", "100mb")
    wait_until(lambda: len(entries(server.client())) == 3, "the refused file is sent too")
    publisher.close(10)

    assert sorted(sent) == ["OWN", "SMALL"]
    assert f"refuses the events of {folder.path}" in caplog.text
    assert not folder.path.exists()
