"""Files of spilled events that outlive their process: how they are read, and who sends them."""

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
from sanctum_bus.publisher.buffer import Entry
from sanctum_bus.publisher.spill import recovery
from sanctum_bus.publisher.spill.files import Folder, Owner, folder_for, pack, unpack
from tests.server.publisher.test_processes import by_producer, run
from tests.support.published import RUN, entries, folded
from tests.support.servers import VALKEY_9, Server, StartServer
from tests.support.waiting import wait_until

OWNER = Owner("nissa", RUN, "p-1")
SOME = [Entry(4, "A", b"a"), Entry(6, "Ä", b"\x00" * 300), Entry(1 << 40, "C", b"")]


def test_a_file_holds_what_was_put_in() -> None:
    """Numbers, types and bytes come back as they were, and whose they are."""
    assert unpack(pack(OWNER, SOME)) == (OWNER, SOME, 0)


@pytest.mark.parametrize("cut", [1, 5, 9, 18])
def test_a_torn_tail(cut: int) -> None:
    """What a dying process has left unfinished costs the last event only."""
    data = pack(OWNER, SOME)[:-cut]

    owner, found, torn = unpack(data)

    assert (owner, found[:1]) == (OWNER, SOME[:1])
    assert len(found) == 2
    assert torn


def test_a_bit_that_has_turned() -> None:
    """Nothing behind it is believed."""
    data = bytearray(pack(OWNER, SOME))
    data[-30] ^= 1

    assert unpack(bytes(data))[1] == SOME[:1]


@pytest.mark.parametrize("data", [b"", b"hello, world", bytes(64), pack(OWNER, SOME)[5:]])
def test_a_file_that_is_none_of_ours(data: bytes) -> None:
    """It is refused by name, whatever it holds."""
    with pytest.raises(SpillUnreadable):
        unpack(data)


def test_one_folder_has_one_owner(tmp_path: Path) -> None:
    """The lock goes with whoever holds it; names of producers make no other paths."""
    odd = Owner("nissa", RUN, "../../näme-0123456789ab")
    one, other = folder_for(tmp_path, odd), folder_for(tmp_path, odd)
    one.write(1, b"x")

    assert one.path.parent == tmp_path / RUN
    with pytest.raises(BlockingIOError):
        other.acquire()
    one.release()
    other.acquire()
    other.release()


def leave(where: Path, owner: Owner, *files: list[Entry], cut: int = 0) -> Folder:
    """Leave files as a producer that died would."""
    folder = folder_for(where, owner)
    for rows in files:
        data = pack(owner, rows)
        folder.write(rows[0].seq, data[: len(data) - cut])
    folder.release()
    return folder


def packed(number: int) -> bytes:
    """An event's bytes."""
    # A map of one key: {"data": {"n": number}}.
    return b"\x81\xa4data\x81\xa1n" + bytes([number])


def test_what_is_torn_or_foreign_is_kept(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole events are sent; no file goes of which not everything was, unless it is empty, and the log names each."""
    rows = [Entry(seq, "STEP", packed(seq)) for seq in (3, 4, 7)]
    torn = leave(tmp_path, OWNER, rows, cut=3)
    (torn.path / f"{8:020}.spill").touch()
    (torn.path / f"{9:020}.spill").write_bytes(b"nonsense")
    foreign = leave(tmp_path, Owner("other", RUN, "p-2"), rows)
    with (
        caplog.at_level(logging.WARNING, logger="sanctum_bus.publisher"),
        Publisher(RUN, url=server.url, spill_path=tmp_path),
    ):
        pass

    assert [(one.producer, one.seq) for one in entries(server.client())] == [("p-1", 3), ("p-1", 4)]
    assert sorted(path.suffix for path in torn.path.iterdir() if path.name != "lock") == [".spill", ".torn"]
    assert len(foreign.files()) == 1
    for word in ("kept as .torn", "leave it where it is", "is of run"):
        assert word in caplog.text


def test_holes_between_files_are_told(server: Server, tmp_path: Path) -> None:
    """What the old producer dropped between what it left is told as such; what was before, nobody knows."""
    leave(tmp_path, OWNER, [Entry(3, "STEP", packed(3))], [Entry(6, "STEP", packed(6))])
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
    while len(publisher._producer.buffer._entries) > 14:
        time.sleep(0.001)
print("there", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_was_killed(start_server: StartServer, tmp_path: Path) -> None:
    """What it had in files is sent by the next publisher of the run under its numbers, and folded once."""
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
        while len(publisher._producer.buffer._entries) > 14:
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
    """The child spills to a folder of its own, and leaves its parent's alone."""
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
    """A leftover that is refused stays where it is, and is tried again; the publisher's own events go on."""
    monkeypatch.setattr(recovery, "_ATTEMPTS", 2)
    monkeypatch.setattr(sender, "_ADOPT_EVERY_S", 0.05)
    server = start_server(VALKEY_9, "--proto-max-bulk-len", "1mb")
    folder = leave(tmp_path, OWNER, [Entry(1, "LARGE", msgpack.packb({"data": {"x": "x" * (3 << 20)}}))])
    leave(tmp_path, OWNER._replace(producer="p-2"), [Entry(1, "SMALL", msgpack.packb({"data": {}}))])

    publisher = Publisher(RUN, url=server.url, spill_path=tmp_path)
    with caplog.at_level(logging.WARNING, "sanctum_bus.publisher"):
        publisher.emit({"type": "OWN"})
        assert publisher.flush(20)
    sent = [one.type for one in entries(server.client())]
    server.client().config_set("proto-max-bulk-len", "100mb")
    wait_until(lambda: len(entries(server.client())) == 3, "what was refused is sent as well")
    publisher.close(10)

    assert sorted(sent) == ["OWN", "SMALL"]
    assert f"does not take the events of {folder.path}" in caplog.text
    assert not folder.path.exists()
