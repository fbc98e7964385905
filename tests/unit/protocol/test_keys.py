"""Key names, run IDs and key prefixes."""

import pytest

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.keys import RunKeys

RUN = RunKeys("run-1", "p")


def test_all_keys_of_a_run_share_a_hash_tag() -> None:
    """Every key of a run has its ID as the hash tag, so that all are on one cluster slot."""
    names = (*RUN.fixed, RUN.changed, RUN.section("env:0"))

    assert all(name.startswith("p:{run-1}:") for name in names)
    assert len(set(names)) == len(names)


def test_names_of_keys() -> None:
    """A key has the documented name."""
    assert RUN.events == "p:{run-1}:events"
    assert RUN.producers == "p:{run-1}:producers"
    assert RUN.section("seed:0:r0c0") == "p:{run-1}:seed:0:r0c0"
    assert (keys.runs("p"), keys.workers("p")) == ("p:runs", "p:workers")
    assert keys.workers_state("p") == "p:workers:state"
    assert keys.catalog("p") == "p:catalog"
    assert keys.events_pattern("p") == "p:{*}:events"


def test_removal_covers_every_key_that_a_commit_writes() -> None:
    """The fixed keys include all keys of a commit; the index of sections and the empty key come first."""
    assert RUN.fixed[:2] == (RUN.sections, RUN.none)
    assert set(RUN.written) <= set(RUN.fixed)


@pytest.mark.parametrize(
    ("key", "run_id"),
    [
        ("p:{run-1}:events", "run-1"),
        ("p:{run-1}:checkpoint", None),
        ("q:{run-1}:events", None),
        ("p:{}:events", None),
        ("p:{-a}:events", None),
    ],
)
def test_run_of_a_stream(key: str, run_id: str | None) -> None:
    """The name of a source stream contains the run ID; other keys and invalid IDs give None."""
    assert keys.run_of_events_key(key, "p") == run_id


@pytest.mark.parametrize("run_id", ["", "-a", "a b", "a}", "a" * 129, "ä"])
def test_an_invalid_run_id(run_id: str) -> None:
    """A run ID that could leave its place in a key is rejected, and the message states the rule."""
    assert not keys.is_run_id(run_id)
    with pytest.raises(InvalidArgument, match="1 to 128 characters"):
        RunKeys(run_id)


@pytest.mark.parametrize("prefix", ["", "a{b", "a" * 65])
def test_an_invalid_prefix(prefix: str) -> None:
    """A prefix that could leave its place in a key is rejected, and the message states the rule."""
    with pytest.raises(InvalidArgument, match="1 to 64 characters"):
        RunKeys("run-1", prefix)


@pytest.mark.parametrize(
    ("argument", "environ", "prefix"),
    [
        ("a", {keys.PREFIX_VARIABLE: "b"}, "a"),
        (None, {keys.PREFIX_VARIABLE: "b"}, "b"),
        (None, {keys.PREFIX_VARIABLE: ""}, keys.DEFAULT_PREFIX),
        (None, {}, keys.DEFAULT_PREFIX),
    ],
)
def test_the_prefix_is_resolved(argument: str | None, environ: dict[str, str], prefix: str) -> None:
    """The argument has priority over the environment variable, and the variable over the default."""
    assert keys.resolve_prefix(argument, environ) == prefix
