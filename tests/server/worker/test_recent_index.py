"""Changed sections are found by the time of their change, without reading all sections."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanctum_bus.protocol import stream_id
from sanctum_bus.protocol.scripts import script
from tests.support.servers import Server
from tests.support.worker_rig import assert_is_fold, drain, plain, side_of, story

IDS = st.builds(
    "{}-{}".format,
    st.integers(0, 2**64 - 1) | st.integers(1_700_000_000_000, 1_700_000_000_003),
    st.integers(0, 2**64 - 1) | st.integers(0, 3000),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(IDS, IDS)
def test_a_later_id_never_has_a_smaller_score(server: Server, one: str, other: str) -> None:
    """For all IDs: a search from a score on finds everything that is later."""
    shared = script("lag").text.partition("-- Reads how far")[0].partition("\n")[2]
    text = f"{shared}\nreturn {{score_of(ARGV[1]), score_of(ARGV[2]), id_less(ARGV[1], ARGV[2]) and 1 or 0}}"
    first, second, is_less = server.client().eval(text, 0, one, other)

    assert bool(is_less) == (stream_id.parse(one) < stream_id.parse(other))
    if is_less:
        assert float(first) <= float(second)


def test_what_was_removed_by_hand_is_made_again(server: Server) -> None:
    """The next commit detects the loss and writes the index again, without folding again."""
    side = side_of(server)
    side.add(story())
    drain(server)
    side.redis.delete(side.keys.recent)
    side.add(plain(1))
    drain(server)

    assert_is_fold(side)
    assert len(side.recent()) > len({"run", "event:X"})
    assert side.checkpoint("attempts") == "0"


def test_the_section_that_changed_last_comes_last(server: Server) -> None:
    """The order is that of the IDs in the index, removed sections included."""
    side = side_of(server)
    numbered = [f"{1000 + number}-0" for number, _ in enumerate(story())]
    side.add(story(), ids=numbered)
    drain(server)
    index = {name: stream_id.parse(changed.removeprefix("-")) for name, changed in side.index().items()}

    assert side.recent() == sorted(index, key=lambda name: (index[name], name))
