"""The state: what is left for later is as if it had been done at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.state import Fields, Put, State, Unsettled

names = st.sampled_from(["a:1", "a:2", "b"])
puts = st.sampled_from("xyz")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("leave"), names, puts),
        st.tuples(st.sampled_from(["get", "edit", "replace", "drop", "all", "settle"]), names, st.just("")),
    ),
    max_size=40,
)


def _put(fields: Fields, what: str, numbers: list[int]) -> None:
    """What belongs to one put alone, and what each puts there for every item."""
    fields[what] = [*fields.get(what, []), *numbers]
    fields["last"] = numbers[-1]


def _named(what: str) -> Put:
    def put(fields: Fields, numbers: list[int]) -> None:
        _put(fields, what, numbers)

    return put


PUTS = {what: _named(what) for what in "xyz"}


@given(steps, st.booleans())
def test_what_is_left_for_later_is_as_if_done_at_once(
    story: list[tuple[str, str, str]],
    at_once: bool,  # noqa: FBT001
) -> None:
    """Whenever a section is looked at, it is what it would be had everything been put there at once, in order."""
    state = State()
    state.at_once = at_once
    model: dict[str, Fields] = {}
    for number, (what, name, put) in enumerate(story):
        state.at = str(number)
        if what == "leave":
            state.leave(name, PUTS[put], number)
            _put(model.setdefault(name, {}), put, [number])
            assert state.changed[name] == state.at
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
        elif what == "settle":
            state.settle()
        else:
            assert state.sections == model

    assert state.sections == model
    assert sorted(state.children("a")) == sorted(key for key in model if key.startswith("a:"))


def test_what_was_left_is_put_there_together() -> None:
    """However much is left for later, each put is called once, in the order in which they were given something last."""
    state = State()
    done: list[tuple[str, list[int]]] = []

    def one(_: Fields, items: list[int]) -> None:
        done.append(("one", items))

    def other(_: Fields, items: list[int]) -> None:
        done.append(("other", items))

    for number, put in enumerate((one, other, other, one)):
        state.leave("a", put, number)

    assert state.get("a") == {}
    assert done == [("other", [1, 2]), ("one", [0, 3])]


def test_a_section_that_does_not_take_what_was_left_is_named() -> None:
    """Whoever reads it, or all, is told that the state is of no more use, and which section it is."""
    state = State({"a": {"count": "no number"}})

    def put(fields: Fields, items: list[int]) -> None:
        fields["count"] += len(items)

    state.leave("a", put, 1)

    with pytest.raises(Unsettled, match="section a "):
        state.get("a")
