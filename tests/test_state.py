"""The state: what is left for later is as if it had been done at once."""

from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.state import Fields, State

names = st.sampled_from(["a:1", "a:2", "b"])
shapes = st.frozensets(st.sampled_from("xyz"), min_size=1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("leave"), names, shapes),
        st.tuples(st.sampled_from(["get", "edit", "replace", "drop", "all"]), names, st.just(frozenset())),
    ),
    max_size=40,
)


def _put(fields: Fields, given_fields: Fields) -> None:
    fields.update(given_fields)


@given(steps)
def test_what_is_left_for_later_is_as_if_done_at_once(story: list[tuple[str, str, frozenset[str]]]) -> None:
    """Whenever a section is looked at, it is what it would be had everything been put there at once, in order."""
    state = State()
    model: dict[str, Fields] = {}
    for number, (what, name, shape) in enumerate(story):
        state.at = str(number)
        if what == "leave":
            fields = dict.fromkeys(shape, number)
            state.open(name)
            state.leave(name, shape, _put, fields)
            model.setdefault(name, {}).update(fields)
        elif what == "get":
            assert state.get(name) == model.get(name)
        elif what == "edit":
            assert state.edit(name) == model.setdefault(name, {})
        elif what == "replace":
            state.replace(name, {"new": number})
            model[name] = {"new": number}
        elif what == "drop":
            state.drop([name])
            model.pop(name, None)
        else:
            assert state.sections == model

    assert state.sections == model
    assert sorted(state.children("a")) == sorted(key for key in model if key.startswith("a:"))


@given(st.lists(shapes, min_size=2, max_size=20))
def test_what_is_overwritten_as_a_whole_is_forgotten(given_shapes: list[frozenset[str]]) -> None:
    """However much is left for later, one thing waits for each key at most."""
    state = State()
    done: list[int] = []
    for number, shape in enumerate(given_shapes):
        state.open("a")
        state.leave("a", shape, lambda _, given_number: done.append(given_number), number)

    assert state.get("a") == {}
    assert done == sorted(done)
    assert len(done) == len(set(given_shapes))
