"""`sanctum dead-letters --requeue`, `--delete` and `sanctum rebuild`: what they print, and when they refuse."""

import json

import pytest

from tests.support.commands import Run, sanctum
from tests.support.repairs import HOPELESS, assert_is_right, letters, misnumbered
from tests.support.servers import Server
from tests.support.worker_rig import Side, drain, plain, side_of


@pytest.fixture(name="run")
def _run(valkey: Server) -> Run:
    return Run(valkey.url)


@pytest.fixture(name="parked")
def _parked(valkey: Server) -> tuple[Side, list[str]]:
    """A folded run with three dead letters."""
    side = side_of(valkey)
    side.add(plain(2))
    ids = side.add([misnumbered(1), misnumbered(2), HOPELESS])
    drain(valkey)
    return side, ids


def test_requeue(run: Run, parked: tuple[Side, list[str]]) -> None:
    """Named dead letters are requeued, each with its new ID; a missing one is reported, and the status is 1."""
    side, (first, second, _) = parked

    one = run.good("dead-letters", "r", "--requeue", first)
    again = run.sanctum("dead-letters", "r", "--requeue", first, second, "--json")
    run.drain()

    assert first in one.out
    assert side.stream()[5][0] in one.out
    assert again.status == 1
    assert again.json == {
        "run_id": "r",
        "requeued": {second: side.stream()[6][0]},
        "missing": [first],
        "refused": {},
    }
    assert again.err == (
        f"sanctum: run r has no dead letter {first}: it was requeued or deleted before, or never existed\n"
    )
    assert_is_right(side)


def test_requeue_all(run: Run, parked: tuple[Side, list[str]]) -> None:
    """`all` requeues every dead letter; none at all is not a failure."""
    side, ids = parked

    moved = run.good("dead-letters", "r", "--requeue", "all", "--json").json
    none = run.good("dead-letters", "r", "--requeue", "all")

    assert list(moved["requeued"]) == ids
    assert (none.out, none.err) == ("", "sanctum: run r has no dead letters\n")
    run.drain()
    assert_is_right(side)


def test_refused(run: Run, valkey: Server) -> None:
    """A dead letter that cannot be requeued is reported with the reason, on standard error and in JSON, and the status is 1."""
    side = side_of(valkey)
    (source,) = side.add([HOPELESS | {f"f{number}".encode(): b"" for number in range(4000)}])
    drain(valkey)

    ran = run.sanctum("dead-letters", "r", "--requeue", "all", "--json")

    assert ran.status == 1
    assert list(ran.json["refused"]) == [source]
    assert f"entry {source} cannot be requeued: it has 4,003 fields; at most 3,500 can be requeued" in ran.err
    assert letters(side) == [source]


def test_drop(run: Run, parked: tuple[Side, list[str]]) -> None:
    """Dead letters are deleted only after confirmation."""
    side, (first, *others) = parked

    unsure = run.sanctum("dead-letters", "r", "--delete", "all")
    one = run.good("dead-letters", "r", "--delete", first, "--yes")
    rest = run.good("dead-letters", "r", "--delete", "all", "--yes", "--json").json

    assert unsure.status == 1
    assert "--yes" in unsure.err
    assert first in one.out
    assert rest == {"run_id": "r", "deleted": others, "missing": [], "refused": {}}
    assert letters(side) == []


@pytest.mark.parametrize(
    "args",
    [
        ["dead-letters", "r", "--requeue"],
        ["dead-letters", "r", "--delete"],
        ["dead-letters", "r", "1-1"],
        ["dead-letters", "r", "--requeue", "--delete", "all"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(args: list[str]) -> None:
    """Ids without a verb, a verb without ids, or two verbs cannot be meant."""
    ran = sanctum(*args)

    assert ran.status == 2
    assert "Error: " in ran.err


def test_an_unknown_run(run: Run) -> None:
    """Each command reports an unknown run in one line."""
    for args in (
        ["dead-letters", "r", "--requeue", "all"],
        ["dead-letters", "r", "--delete", "all", "--yes"],
        ["rebuild", "r", "--yes"],
    ):
        ran = run.sanctum(*args)
        assert (ran.status, ran.out) == (1, "")
        assert ran.err.startswith("sanctum: there is no run 'r'")


def test_rebuild(run: Run, parked: tuple[Side, list[str]]) -> None:
    """`rebuild` needs a confirmation, then reports what it folded."""
    side, _ = parked

    unsure = run.sanctum("rebuild", "r")
    shown = run.good("rebuild", "r", "--yes")
    told = run.good("rebuild", "r", "--yes", "--json").json

    assert unsure.status == 1
    assert "--yes" in unsure.err
    assert shown.out == f"run r rebuilt up to {side.checkpoint()}: 2 events folded, 3 dead letters\n"
    assert told == {
        "run_id": "r",
        "generation": int(side.checkpoint("generation")),
        "version": side.checkpoint(),
        "entries": 5,
        "events": 2,
        "parked": 3,
        "lost": {},
        "missing": 0,
    }
    assert_is_right(side)


def test_rebuild_of_a_part(run: Run, parked: tuple[Side, list[str]]) -> None:
    """A stream that was trimmed is refused, with what can be done about it."""
    side, ids = parked
    side.redis.xtrim(side.keys.events, minid=ids[0], approximate=False)

    refused = run.sanctum("rebuild", "r", "--yes")
    shown = run.good("rebuild", "r", "--partial", "--yes").out

    assert refused.status == 1
    assert "2 entries are missing" in refused.err
    assert "--partial" in refused.err
    assert "0 events folded, 3 dead letters; 2 entries were missing" in shown
    assert json.loads(side.checkpoint("lost_ranges"))[0]["entries"] == 2
    assert_is_right(side)
