"""The state: deferred writes have the result of immediate ones, and nothing reads a section before them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanctum_bus.errors import DeferredWriteFailed, StaleRead
from sanctum_bus.fold.live_fields import checked_fields
from sanctum_bus.fold.state import Put, State, append_history
from sanctum_bus.protocol.entry import Fields

names = st.sampled_from(["a:1", "a:2", "b", "env:1", "A/seed:1:x"])
puts = st.sampled_from("xyz")
actions = ["get", "edit", "replace", "drop", "all", "flush", "set", "add", "see"]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("defer"), names, puts),
        st.tuples(st.sampled_from(actions), names, st.just("")),
    ),
    max_size=40,
)

#: A live field of each section that has one.
LIVE = {"env:1": "best_accuracy", "A/seed:1:x": "stage"}


def _put(fields: Fields, what: str, lasts: list[Fields], numbers: list[int]) -> None:
    """Write fields of one deferred write alone, and one field that every deferred write overwrites."""
    for last in lasts:
        fields.update({f"{what}{name}": value for name, value in last.items()})
    fields[what] = [*fields.get(what, []), *numbers]
    fields["last"] = numbers[-1]


def _named(what: str) -> Put:
    def put(fields: Fields, lasts: list[Fields], numbers: list[int]) -> None:
        _put(fields, what, lasts, numbers)

    return put


PUTS = {what: _named(what) for what in "xyz"}


class _Twins:
    """A state, and a model in which every write happens at once."""

    def __init__(self, *, eager: bool) -> None:
        self.state = State()
        self.state.eager = eager
        self.model: dict[str, Fields] = {}

    def step(self, number: int, what: str, name: str, put: str, key: str) -> None:
        state, model = self.state, self.model
        state.entry_id = str(number)
        if what == "defer":
            last = dict.fromkeys(key, number)
            state.defer(name, PUTS[put], key, last, number)
            _put(model.setdefault(name, {}), put, [last], [number])
            assert state.changed[name] == state.entry_id
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
        elif what == "flush":
            state.flush()
        elif what == "all":
            assert state.sections == model
        elif name in LIVE:
            self.use_live(what, name, LIVE[name], number)

    def use_live(self, what: str, name: str, field: str, number: int) -> None:
        """Write or read a live field, whether or not writes to its section are deferred."""
        if what == "see":
            live = self.state.live(name)
            assert (live is None) == (name not in self.model)
            assert live is None or live.get(field) == self.model[name].get(field)
            return
        fields, ours = self.state.edit_live(name), self.model.setdefault(name, {})
        fields[field] = ours[field] = number if what == "set" else ours.get(field, 0) + number


@given(steps, st.booleans(), st.booleans())
def test_what_is_left_for_later_is_as_if_done_at_once(
    story: list[tuple[str, str, str]],
    eager: bool,  # noqa: FBT001
    checked: bool,  # noqa: FBT001
) -> None:
    """A section that is read has the fields that immediate writes in the same order would have given it."""
    twins = _Twins(eager=eager)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "checked", checked)
        for number, (what, name, put) in enumerate(story):
            twins.step(number, what, name, put, story[number // 2][1])

        assert twins.state.sections == twins.model
    assert sorted(twins.state.children("a")) == sorted(key for key in twins.model if key.startswith("a:"))


def test_what_was_left_is_put_there_together() -> None:
    """Each put is called once with all that was deferred for it, in the order of the last deferrals."""
    state = State()
    done: list[tuple[str, list[str], list[int]]] = []

    def one(_: Fields, lasts: list[str], items: list[int]) -> None:
        done.append(("one", lasts, items))

    def other(_: Fields, lasts: list[str], items: list[int]) -> None:
        done.append(("other", lasts, items))

    for number, (put, key) in enumerate(((one, "a"), (other, "a"), (other, "b"), (other, "a"), (one, "a"))):
        state.defer("section", put, key, f"{key}{number}", number)

    assert state.get("section") == {}
    assert done == [("other", ["b2", "a3"], [1, 2, 3]), ("one", ["a4"], [0, 4])]


def test_a_section_that_does_not_take_what_was_left_is_named() -> None:
    """A read of a section that its deferred writes do not fit raises, and names the section."""
    state = State({"a": {"count": "no number"}})

    def put(fields: Fields, _: list[None], items: list[int]) -> None:
        fields["count"] += len(items)

    state.defer("a", put, None, None, 1)

    with pytest.raises(DeferredWriteFailed, match="section a "):
        state.get("a")


def _deferred(name: str = "env:1", **fields: Any) -> State:
    """A state in which a write to a section is deferred."""
    state = State({name: {"best_accuracy": 1.0, "accuracy_history": [1.0], **fields}})
    state.defer(name, PUTS["x"], "a", {}, 1)
    return state


STALE_USES = {
    "[]": lambda fields: fields["accuracy_history"],
    "get": lambda fields: fields.get("accuracy_history"),
    "in": lambda fields: "accuracy_history" in fields,
    "iteration": list,
    "keys": lambda fields: fields.keys(),
    "items": lambda fields: dict(fields.items()),
    "values": lambda fields: fields.values(),
    "copy": lambda fields: fields.copy(),
    "dict": dict,
    "|": lambda fields: fields | {},
    "pop": lambda fields: fields.pop("best_accuracy"),
    "setdefault": lambda fields: fields.setdefault("x", 1),
    "a name under a live prefix": lambda fields: fields["aggregate.x"],
}


@pytest.mark.parametrize("use", STALE_USES.values(), ids=STALE_USES)
@pytest.mark.parametrize("access", ["live", "edit_live"])
def test_a_field_that_is_not_live_cannot_be_read_while_writes_are_deferred(access: str, use: Any) -> None:
    """A read that could return a stale value raises, and the error names the kind of section."""
    fields = getattr(_deferred(), access)("env:1")

    with pytest.raises(StaleRead, match="section of kind 'env'"):
        use(fields)


def test_without_the_check_a_field_that_is_not_live_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers do not pay for the check: the map lacks the field, so that no read returns a stale value."""
    monkeypatch.setattr(State, "checked", False)

    live = _deferred().live("env:1")

    assert live == {"best_accuracy": 1.0}


def test_live_fields_can_be_used_while_writes_are_deferred() -> None:
    """A live field can be read, written and found absent."""
    live = _deferred().edit_live("env:1")
    live["germinated"] = 2

    assert (live["best_accuracy"], live["germinated"], live.get("episode"), "episode" in live) == (
        1.0,
        2,
        None,
        False,
    )
    with pytest.raises(KeyError, match="episode"):
        live["episode"]


def test_a_write_of_a_field_that_is_not_live_is_found() -> None:
    """A deferred write would overwrite the field in the wrong order: the next flush raises."""
    state = _deferred()
    state.edit_live("env:1")["status"] = "healthy"

    with pytest.raises(StaleRead, match="'status'"):
        state.flush()


def test_a_field_under_a_live_prefix_can_be_written() -> None:
    """The fields that an epoch reports for all slots are written at once."""
    state = _deferred()
    state.edit_live("env:1")["aggregate.gradient"] = 1.0

    assert state.sections["env:1"]["aggregate.gradient"] == 1.0


def test_all_fields_can_be_read_when_nothing_is_deferred() -> None:
    """After a flush, a section is a plain map again."""
    state = _deferred()
    state.flush()

    live = state.live("env:1")

    assert live is not None
    assert (live["accuracy_history"], live["x"]) == ([1.0], [1])


def test_an_error_of_the_check_is_not_one_of_the_entry() -> None:
    """The aggregate parks what these errors report, and a defect of the fold must not be parked."""
    assert not issubclass(StaleRead, ArithmeticError | LookupError | TypeError | ValueError | AttributeError)
    assert type(checked_fields("env:1", {})) is type(checked_fields("A/env:2", {}))


def test_a_history_that_is_not_a_list_counts_as_empty() -> None:
    """A section that was changed by hand does not stop the fold."""
    assert append_history("x", 1, 2) == [1, 2]
    assert append_history([0], *range(60)) == list(range(10, 60))
