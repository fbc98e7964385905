"""The log of a worker: documented events with their context, and one line for a lasting failure."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from sanctum_bus.worker import logs
from sanctum_bus.worker.store import Lease
from scripts import generate_docs
from tests.support.faults import DEADLINE_S, FAULTS
from tests.support.paths import PACKAGE
from tests.support.servers import VALKEY_9, Server, StartServer
from tests.support.waiting import wait_until
from tests.support.worker_processes import worker_process
from tests.support.worker_rig import assert_is_fold, plain, side_of
from tests.support.worker_task import at_work, wait_for_fold, wait_for_words
from tests.unit.test_imports import modules


class Logged(NamedTuple):
    """One call in the package that writes a line."""

    words: str
    level: str
    fields: frozenset[str]


def _logged() -> Iterator[Logged]:
    for path in modules():
        text = path.read_text()
        if "structlog.get_logger()" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                yield _line(path, node)


def _line(path: Path, call: ast.Call) -> Logged:
    """The event, level and fields of one call. The event must be a literal, so that a search finds it."""
    (words,) = call.args
    assert isinstance(words, ast.Constant), f"{path.relative_to(PACKAGE)}:{call.lineno}: {ast.unparse(words)}"
    names: list[str] = []
    for one in call.keywords:
        # Only the fields of a `Lease` are unpacked.
        names += [one.arg] if one.arg else Lease._fields
        assert one.arg or ast.unparse(one.value) == "lease._asdict()"
    level = ast.unparse(call.func).removeprefix("_log.").replace("exception", "error")
    return Logged(str(words.value), level, frozenset(names))


def test_every_line_is_documented() -> None:
    """The table has the text, level and fields of every line, and no other rows."""
    table = {Logged(event.words, event.level, frozenset(event.fields)) for event in logs.EVENTS}

    assert set(_logged()) == table
    assert len({event.words for event in logs.EVENTS}) == len(logs.EVENTS)


def test_the_page_is_generated() -> None:
    """The table on the page is the table in the code; scripts/generate-docs writes it."""
    assert generate_docs.is_current("docs/reference/logs.md")


def lines_of(process: "subprocess.Popen[bytes]") -> list[dict[str, Any]]:
    """Stop a worker, and return its lines."""
    process.terminate()
    _, errors = process.communicate(timeout=DEADLINE_S)
    return [json.loads(line) for line in errors.decode().splitlines() if line]


def test_lines_are_json_with_their_context(valkey: Server) -> None:
    """Without a terminal each line is a JSON object, with the worker, run and generation in a fixed order."""
    side = side_of(valkey)
    with worker_process(valkey, log_level="debug", lease_s=20.0) as process:
        for first in range(0, 300, 100):
            side.add(plain(100, first=first))
            wait_for_fold(side)
        generation, owner = side.checkpoint("generation"), side.checkpoint("owner")
        lines = lines_of(process)
    # A telemetry event or a commit writes no line.
    assert [line["event"] for line in lines] == ["worker started", "run acquired", "worker stopped"]

    assert {line["worker"] for line in lines} == {owner}
    assert [line.get("run") for line in lines] == [None, side.keys.run_id, None]
    assert lines[1]["generation"] == generation
    assert all(line["level"] == "info" and line["timestamp"].endswith("Z") for line in lines)
    assert list(lines[1])[:6] == ["timestamp", "level", "event", "worker", "run", "generation"]


@pytest.mark.parametrize(("policy", "logged"), [("allkeys-lru", ["allkeys-lru"]), ("noeviction", [])])
def test_a_server_that_evicts_is_said(start_server: StartServer, policy: str, logged: list[str]) -> None:
    """P26: a worker that starts on a server with an evicting policy logs a warning."""
    server = start_server(VALKEY_9, "--maxmemory-policy", policy)
    side = side_of(server)
    side.add(plain(1))

    with at_work(server) as lines:
        wait_for_fold(side)

    assert [line["policy"] for line in lines if line["event"] == "unsafe maxmemory-policy"] == logged


def test_a_line_is_readable_on_a_terminal() -> None:
    """On a terminal a line is readable, and not JSON."""
    program = "import structlog; from sanctum_bus.worker import logs; logs.configure(); structlog.get_logger().info('words', n=1)"
    reader, terminal = os.openpty()
    try:
        subprocess.run([sys.executable, "-c", program], stderr=terminal, check=True)
        line = re.sub(r"\x1b\[[0-9;]*m", "", os.read(reader, 10_000).decode())
    finally:
        os.close(reader)
        os.close(terminal)

    assert re.search(r"\[info +\] words +n=1", line)


@pytest.mark.parametrize("place", ["a full disk", "a pipe without a reader"])
def test_lines_that_cannot_be_written_end_nothing(valkey: Server, place: str) -> None:
    """Lines that cannot be written are lost, and nothing else: the worker folds the run and exits normally."""
    side = side_of(valkey)
    side.add(plain(5))
    command = [sys.executable, "-m", "sanctum_bus.cli", "--redis", valkey.url, "worker"]
    if place == "a full disk":
        where = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, where = os.pipe()
        os.close(reader)
    with subprocess.Popen(command, stderr=where) as process:
        os.close(where)
        try:
            wait_for_fold(side)
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()

    assert_is_fold(side)


def _refusals(server: Server) -> int:
    found = server.client().info("errorstats")
    return int(cast("dict[str, int]", found.get("errorstat_READONLY", {})).get("count", 0))


def test_a_read_only_server_is_said_once(start_server: StartServer) -> None:
    """A worker on a read-only server logs one failure, and the number of failures when it recovers."""
    (fault,) = [one for one in FAULTS if one.name == "READONLY"]
    server = fault.start(start_server, VALKEY_9)
    side = side_of(server)
    with at_work(server) as lines:
        wait_until(lambda: any(line["event"] == "worker started" for line in lines), "the worker has started")
        with fault.lasts(server):
            wait_until(lambda: _refusals(server) >= 10, "the server has refused ten commands", DEADLINE_S)
        side.add(plain(1))
        wait_for_fold(side)
        wait_for_words(lines, "", "task recovered")

    logged = [line for line in lines if line.get("task") == "discovery"]
    assert [line["event"] for line in logged] == ["task failed", "task recovered"]
    assert logged[0]["log_level"] == "warning"
    assert "read only" in logged[0]["error"]
    assert logged[1]["failures"] >= 5


@pytest.mark.parametrize("key", ["nissa:runs", "nissa:workers:state"])
def test_a_key_of_another_type_is_said_once(valkey: Server, key: str) -> None:
    """If a shared key has the wrong type, each background task that needs the key logs one failure."""
    side = side_of(valkey)
    side.redis.set(key, "x")
    with at_work(valkey) as lines:
        wait_for_words(lines, "WRONGTYPE", "task failed")
        side.redis.delete(key)
        side.add(plain(1))
        wait_for_fold(side)
        wait_for_words(lines, "", "task recovered")

    failed = [line["task"] for line in lines if line["event"] == "task failed"]
    assert len(failed) == len(set(failed))
    assert_is_fold(side)
