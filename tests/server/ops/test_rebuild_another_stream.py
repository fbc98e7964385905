"""Rebuilding a run whose stream was deleted and replaced: the snapshot has entries that the stream lacks."""

import json

import pytest

from sanctum_bus.errors import Unavailable
from tests.support.fold_run import Entry, entry
from tests.support.repairs import HOPELESS, assert_is_right, counts, folded, rebuild, view
from tests.support.servers import Server
from tests.support.worker_rig import Side, drain, plain, side_of


def _numbered(count: int, first: int = 1) -> list[Entry]:
    return [entry("X", {"n": seq}, producer="p", seq=seq) for seq in range(first, first + count)]


def _begun_anew(server: Server, side: Side, entries: list[Entry]) -> None:
    side.redis.delete(side.keys.events)
    side.add(entries)
    drain(server)


def test_it_is_refused(server: Server) -> None:
    """Nothing changes, and the error has the number of entries in the stream; `--partial` counts the others as lost."""
    side = side_of(server)
    side.add(_numbered(1000))
    drain(server)
    _begun_anew(server, side, _numbered(3, first=1001))
    before = side.dump()

    with pytest.raises(Unavailable, match=r"has 1,003 entries.*has 3 of them.*--partial"):
        rebuild(server, side)
    held = side.dump()
    held[side.keys.checkpoint.encode()].pop(b"held_until", None)
    assert held == before
    built = rebuild(server, side, partial=True)

    assert (built.missing, built.entries, built.lost) == (1000, 3, {"before this history": 1000})
    assert json.loads(side.checkpoint("lost_ranges"))[0]["entries"] == 1000
    assert_is_right(side)


def test_what_parks_and_what_comes_twice_is_accounted_for(server: Server) -> None:
    """Entries are compared with entries, whether folded, parked or duplicate; counting events alone would report missing ones."""
    side = folded(server, HOPELESS, HOPELESS)
    before = view(side)
    assert counts(side)[0] > counts(side)[1]

    rebuild(server, side)

    assert view(side) == before


def test_the_same_entries_in_another_stream(server: Server) -> None:
    """Entries that a new stream has again account for those of the old stream: none is missing."""
    side = side_of(server)
    side.add(_numbered(30))
    drain(server)
    _begun_anew(server, side, _numbered(40))
    assert (side.checkpoint("entries"), side.checkpoint("duplicates")) == ("70", "30")

    rebuild(server, side)

    assert (side.checkpoint("entries"), side.checkpoint("events")) == ("40", "40")
    assert_is_right(side)


def test_a_history_that_began_anew(server: Server) -> None:
    """After a lost checkpoint, or with a stream of lower IDs, only the entries of the current stream are accounted for."""
    side = side_of(server)
    side.add(_numbered(20), ids=[f"9-{seq}" for seq in range(1, 21)])
    drain(server)
    side.redis.delete(side.keys.checkpoint)
    drain(server)
    rebuild(server, side)
    assert side.checkpoint("entries") == "20"
    side.redis.delete(side.keys.events)
    side.add(_numbered(5, first=21), ids=[f"5-{seq}" for seq in range(1, 6)])
    drain(server)

    with pytest.raises(Unavailable, match=r"has 25 entries.*has 5 of them"):
        rebuild(server, side)
    assert rebuild(server, side, partial=True).missing == 20
    side.add(plain(2), ids=["5-8", "5-9"])
    drain(server)
    rebuild(server, side)

    assert side.checkpoint("entries") == "7"
    assert_is_right(side)
