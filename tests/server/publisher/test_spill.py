"""A publisher with a spill directory: events that do not fit into memory survive an outage of Redis."""

import logging
import os
from contextlib import suppress
from pathlib import Path

import pytest

from sanctum_bus.publisher import Publisher
from sanctum_bus.publisher.spill.files import SpillFolder
from tests.support.published import RUN, Gate, entries, folded, numbered, report, seqs
from tests.support.servers import Server, StartServer
from tests.support.waiting import wait_until


def spilling(gate: Gate, where: Path, *, buffer_events: int = 20, spill_bytes: int = 1 << 20) -> Publisher:
    """Return a publisher with a small buffer."""
    return Publisher(
        RUN,
        client_factory=gate,
        buffer_events=buffer_events,
        batch_events=7,
        spill_path=where,
        spill_bytes=spill_bytes,
    )


def emit_calmly(publisher: Publisher, count: int, first: int = 1) -> None:
    """Emit events, and wait for the disk, so that nothing is dropped: other tests cover drops."""
    for event in numbered(count, first):
        publisher.emit(event)
        wait_until(lambda: len(publisher._producer.buffer._memory) < 15, "there is room in memory")


def files(where: Path) -> list[Path]:
    """Return the spill files below a directory."""
    return sorted(where.rglob("*.spill"))


def size_of(paths: list[Path]) -> int:
    """Return the size of the files that still exist, in bytes."""
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def adds_up(publisher: Publisher) -> bool:
    """Return whether the counts cover every event."""
    stats = publisher.stats
    return stats.emitted == stats.sent + stats.dropped + stats.buffered + stats.spilled


def numbers(server: Server) -> list[int]:
    """Return the number in each event's data, in the order of the stream."""
    return [one.body["data"]["number"] for one in entries(server.client()) if one.type == "STEP"]


def test_a_server_that_is_away_for_long(start_server: StartServer, tmp_path: Path) -> None:
    """After a long outage every event arrives once and in order, the fold is complete, and no file remains."""
    server = start_server()
    publisher = spilling(Gate(server.url), tmp_path)
    emit_calmly(publisher, 10)
    assert publisher.flush(20)
    server.stop()
    emit_calmly(publisher, 300, first=11)
    before = publisher.stats
    assert adds_up(publisher)
    server.start()
    emit_calmly(publisher, 100, first=311)

    assert publisher.flush(20)
    stats = publisher.close(20)
    assert before.spilled > 200
    assert (stats.sent, stats.dropped, stats.buffered, stats.spilled) == (410, 0, 0, 0)
    client = server.client()
    assert numbers(server) == list(range(1, 411))
    found_by_fold = folded(client)
    assert (found_by_fold.counters.lost, found_by_fold.counters.duplicates) == ({}, 0)
    assert list(tmp_path.rglob("*")) == []


def test_files_that_are_full(server: Server, tmp_path: Path) -> None:
    """If the files are full, the oldest events are dropped. The fold counts the number that the publisher reports, and no gap."""
    gate = Gate(server.url, closed=True)
    publisher = spilling(gate, tmp_path, spill_bytes=6_000)
    publisher.start()
    emit_calmly(publisher, 500)
    wait_until(lambda: publisher.stats.dropped > 100, "old files are dropped")
    assert adds_up(publisher)
    assert size_of(files(tmp_path)) <= 6_000
    gate.closed = False

    stats = publisher.close(20)
    found = seqs(server.client())
    assert found == sorted(set(found))
    assert stats.sent + stats.dropped == 500
    found_by_fold = folded(server.client())
    assert found_by_fold.counters.lost == {"dropped": stats.dropped}
    assert report(server.client(), publisher.producer)["dropped"] == stats.dropped


def test_a_directory_that_cannot_be_written(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the directory cannot be written, training is unaffected: one log line, counted errors, and the oldest events are dropped."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a directory")
    gate = Gate(server.url, closed=True)
    publisher = spilling(gate, in_the_way / "below")
    with caplog.at_level(logging.WARNING, logger="sanctum_bus.publisher"):
        for event in numbered(100):
            publisher.emit(event)
        wait_until(lambda: "cannot spill events" in caplog.text, "the failure is logged")
        gate.closed = False
        stats = publisher.close(20)

    assert caplog.text.count("cannot spill events") == 1
    assert (stats.sent + stats.dropped, stats.spilled) == (100, 0)
    assert stats.sent >= 20
    assert stats.errors
    assert seqs(server.client())[-1] == 101


def test_files_that_somebody_removes(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Events of files that were removed count as dropped; the rest follows in order."""
    gate = Gate(server.url, closed=True)
    publisher = spilling(gate, tmp_path)
    publisher.start()
    emit_calmly(publisher, 200)
    with caplog.at_level(logging.WARNING, logger="sanctum_bus.publisher"):
        # In one step, because the publisher may be writing a file.
        (tmp_path / RUN).rename(tmp_path / "removed")
        emit_calmly(publisher, 100, first=201)
        gate.closed = False
        stats = publisher.close(20)

    assert "cannot read spilled events" in caplog.text
    assert stats.dropped > 100
    assert (stats.sent + stats.dropped, stats.spilled) == (300, 0)
    found_by_fold = folded(server.client())
    assert found_by_fold.counters.lost == {"dropped": stats.dropped}


def test_emit_does_not_wait_for_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a write hangs, the oldest events in memory are dropped and counted, and the order stays."""
    gate = Gate(server.url)
    reader, writer = os.pipe()
    write = SpillFolder.write

    def slow(self: SpillFolder, first: int, data: bytes) -> Path:
        os.read(reader, 1)
        return write(self, first, data)

    monkeypatch.setattr(SpillFolder, "write", slow)
    gate.closed = True
    publisher = spilling(gate, tmp_path)
    publisher.start()
    for event in numbered(100):
        publisher.emit(event)
    stats = publisher.stats
    gate.closed = False
    os.write(writer, b"x" * 1000)

    assert stats.spilled == 0
    assert stats.buffered <= 47
    assert stats.dropped >= 53
    last = publisher.close(20)
    found = seqs(server.client())
    assert found == sorted(set(found))
    assert last.sent + last.dropped == 100
    os.close(reader)
    os.close(writer)


def test_what_is_left_at_the_end_is_sent_by_the_next(server: Server, tmp_path: Path) -> None:
    """A publisher that closes during an outage leaves all events in files; the next one of the run sends them first."""
    gate = Gate(server.url, closed=True)
    first = spilling(gate, tmp_path)
    first.start()
    emit_calmly(first, 100)
    first.close(0.5)
    wait_until(lambda: first.stats.spilled == 100, "all is in files")
    name = str(first.producer)
    second = spilling(Gate(server.url), tmp_path)
    second.emit({"type": "STEP", "data": {"number": 101}})
    second.close(20)

    found = entries(server.client())
    assert [(one.producer, one.seq) for one in found if one.producer == name] == [
        (name, seq) for seq in range(1, 101)
    ]
    assert numbers(server) == list(range(1, 102))
    assert list(tmp_path.rglob("*")) == []


def test_nothing_is_taken_from_a_publisher_that_lives(server: Server, tmp_path: Path) -> None:
    """The files of a live publisher are locked: another publisher of the run does not send them."""
    gate = Gate(server.url, closed=True)
    first = spilling(gate, tmp_path)
    first.start()
    emit_calmly(first, 100)
    before = files(tmp_path)
    second = spilling(Gate(server.url), tmp_path)
    second.emit({"type": "STEP", "data": {"number": 0}})
    second.close(20)

    assert before
    assert set(before) <= set(files(tmp_path))
    gate.closed = False
    stats = first.close(20)
    assert (stats.sent, stats.dropped) == (100, 0)
    assert numbers(server) == list(range(101))


def test_a_batch_whose_answer_was_lost(server: Server, tmp_path: Path) -> None:
    """A batch from a file is sent again unchanged, like any other, and folded once."""
    # The first batch may come from memory, before there is a file.
    gate = Gate(server.url, closed=True, kept_replies=1, lost_replies=3)
    publisher = spilling(gate, tmp_path)
    publisher.start()
    emit_calmly(publisher, 100)
    first_in_file = int(files(tmp_path)[0].stem)
    gate.closed = False

    stats = publisher.close(20)
    found = entries(server.client())
    start = next(at for at, one in enumerate(found) if found.count(one) > 1)
    again = len(found) - 101
    batch = found[start:][: again // 3]
    assert first_in_file <= batch[0].seq
    # The end of a file, which also ends a batch, depends on timing.
    assert 1 <= len(batch) <= 7
    assert found[start:][: 4 * len(batch)] == batch * 4
    assert [one.seq for one in found[:start] + found[start + again :]] == list(range(1, 102))
    found_by_fold = folded(server.client())
    assert (stats.sent, found_by_fold.counters.lost, found_by_fold.counters.duplicates) == (100, {}, again)


def test_no_directory_is_made_before_it_is_needed(server: Server, tmp_path: Path) -> None:
    """A publisher that never spills creates no directory."""
    publisher = Publisher(RUN, url=server.url, spill_path=tmp_path / "spill")
    publisher.start()
    for event in numbered(20):
        publisher.emit(event)
    publisher.close(20)

    assert numbers(server) == list(range(1, 21))
    assert not (tmp_path / "spill").exists()
