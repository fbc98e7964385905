"""State -> hashes -> state: the next owner loads what a commit wrote, whatever the values are."""

import math
from typing import Any

import msgpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanctum_bus.fold.aggregate import Aggregate
from tests.support.fold_run import Entry
from tests.support.servers import Server
from tests.support.worker_rig import Rig, assert_is_fold, drain, loaded, rigged, side_of, story

TEXT = st.text(max_size=20) | st.sampled_from(
    [
        "",
        " ",
        "1",
        "-0.0",
        "null",
        "NaN",
        "-Infinity",
        "[1",
        '{"a":1}',
        '"',
        "1e5",
        " true\n",
        "\ufeff",
        "a\0b",
        "\U0001f600",
    ]
)
NUMBERS = (
    st.integers(-(2**63), 2**64 - 1) | st.floats() | st.sampled_from([math.nan, -0.0, math.inf, 1e21, 5e-324])
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
DATA = st.dictionaries(TEXT.filter(lambda name: len(name.encode()) <= 100), VALUES, max_size=6)
TYPES = st.sampled_from(
    ["X", "TRAINING_STARTED", "PPO_UPDATE_COMPLETED", "SEED_GERMINATED", "BATCH_EPOCH_COMPLETED"]
)


def _entry(kind: str, data: dict[str, Any]) -> Entry:
    body = {"timestamp": 1.5, "slot_id": "r0c0", "message": "m", "data": {"env_id": 0, **data}}
    return {b"type": kind.encode(), b"event": msgpack.packb(body)}


ENTRIES = st.lists(st.builds(_entry, TYPES, DATA), min_size=1, max_size=6)


async def _fold_and_commit(rig: Rig) -> Aggregate:
    aggregate, lease, in_flight = await rig.begin()
    await rig.commit(aggregate, lease, in_flight)
    return aggregate


async def _load(rig: Rig) -> Aggregate:
    lease = await rig.store.acquire("other", blameless=True)
    assert lease is not None
    return await loaded(rig.store, lease)


def _sorted(value: Any) -> Any:
    """Return the value with its maps in order, so that as text NaN equals NaN, and -0.0 differs from 0.0."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return value


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES)
def test_what_was_committed_is_loaded(valkey: Server, entries: list[Entry]) -> None:
    """Sections, counters and coverage are identical for any values of the JSON model."""
    side = side_of(valkey)
    side.redis.flushall()
    side.add(entries)

    written = rigged(valkey, _fold_and_commit)
    loaded = rigged(valkey, _load)

    assert repr(_sorted(loaded.state.sections)) == repr(_sorted(written.state.sections))
    assert loaded.counters == written.counters
    assert loaded.coverage.counts == written.coverage.counts
    assert loaded.version == written.version
    valkey.close_clients()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES, cut=st.integers(0, 6))
def test_a_change_of_owner_shows_nowhere(valkey: Server, entries: list[Entry], cut: int) -> None:
    """Folding a part, loading it on another worker and folding the rest equals folding everything."""
    side = side_of(valkey)
    side.redis.flushall()
    side.add([*story(), *entries[:cut]])
    drain(valkey)
    side.add(entries[cut:])

    drain(valkey)

    assert_is_fold(side)
    valkey.close_clients()


def test_the_same_on_every_server(server: Server) -> None:
    """The values that are easiest to lose survive, on every kind of server."""
    side = side_of(server)
    odd = [
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        2**64 - 1,
        -(2**63),
        "",
        "1",
        "null",
        "[",
        "\0",
        "\ufeff",
        " 1 ",
        "é\u2028",
    ]
    data = {f"v{number}": value for number, value in enumerate(odd)}
    side.add([_entry("X", {**data, "all": odd, "": "no name"})])

    written, loaded = rigged(server, _fold_and_commit), rigged(server, _load)

    assert repr(_sorted(loaded.state.sections)) == repr(_sorted(written.state.sections))
    assert_is_fold(side)


def test_thousands_of_fields_and_sections(server: Server) -> None:
    """A2: a commit with more values than one `unpack` takes, in one section and in many, is written completely."""
    side = side_of(server)
    started = {"n_envs": 2000, **{f"f{number}": number for number in range(1000)}}
    entries = [
        _entry("TRAINING_STARTED", {f"{rank}.{name}": 1 for name in range(1000)} | {"rank": rank})
        for rank in range(1, 11)
    ]
    side.add([_entry("TRAINING_STARTED", started), *entries])

    drain(server)

    assert_is_fold(side)
    assert len(side.sections()) > 2000
    assert side.redis.hlen(side.keys.section("run")) > 10_000
