"""The state: what is left for later is as if it had been done at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.errors import DeferredWriteFailed
from sanctum_bus.fold.state import Put, State
from sanctum_bus.protocol.entry import Fields

names = st.sampled_from(["a:1", "a:2", "b"])
puts = st.sampled_from("xyz")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("leave"), names, puts),
        st.tuples(st.sampled_from(["get", "edit", "replace", "drop", "all", "settle"]), names, st.just("")),
    ),
    max_size=40,
)


def _put(fields: Fields, what: str, lasts: list[Fields], numbers: list[int]) -> None:
    """What belongs to one put alone, overwritten by key or not, and what each puts there every time."""
    for last in lasts:
        fields.update({f"{what}{name}": value for name, value in last.items()})
    fields[what] = [*fields.get(what, []), *numbers]
    fields["last"] = numbers[-1]


def _named(what: str) -> Put:
    def put(fields: Fields, lasts: list[Fields], numbers: list[int]) -> None:
        _put(fields, what, lasts, numbers)

    return put


PUTS = {what: _named(what) for what in "xyz"}


@given(steps, st.booleans())
def test_what_is_left_for_later_is_as_if_done_at_once(
    story: list[tuple[str, str, str]],
    at_once: bool,  # noqa: FBT001
) -> None:
    """Whenever a section is looked at, it is what it would be had everything been put there at once, in order."""
    state = State()
    state.eager = at_once
    model: dict[str, Fields] = {}
    for number, (what, name, put) in enumerate(story):
        state.at = str(number)
        if what == "leave":
            key = story[number // 2][1]
            last = dict.fromkeys(key, number)
            state.leave(name, PUTS[put], key, last, number)
            _put(model.setdefault(name, {}), put, [last], [number])
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
    done: list[tuple[str, list[str], list[int]]] = []

    def one(_: Fields, lasts: list[str], items: list[int]) -> None:
        done.append(("one", lasts, items))

    def other(_: Fields, lasts: list[str], items: list[int]) -> None:
        done.append(("other", lasts, items))

    for number, (put, key) in enumerate(((one, "a"), (other, "a"), (other, "b"), (other, "a"), (one, "a"))):
        state.leave("section", put, key, f"{key}{number}", number)

    assert state.get("section") == {}
    assert done == [("other", ["b2", "a3"], [1, 2, 3]), ("one", ["a4"], [0, 4])]


def test_a_section_that_does_not_take_what_was_left_is_named() -> None:
    """Whoever reads it, or all, is told that the state is of no more use, and which section it is."""
    state = State({"a": {"count": "no number"}})

    def put(fields: Fields, _: list[None], items: list[int]) -> None:
        fields["count"] += len(items)

    state.leave("a", put, None, None, 1)

    with pytest.raises(DeferredWriteFailed, match="section a "):
        state.get("a")
