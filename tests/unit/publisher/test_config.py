"""The configuration of a publisher: signature, docstring and dataclass agree, and every value is checked."""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from sanctum_bus.errors import InvalidArgument
from sanctum_bus.protocol.keys import DEFAULT_PREFIX
from sanctum_bus.publisher import Publisher
from sanctum_bus.publisher.config import CHECKS, PublisherConfig

FIELDS = {field.name: field for field in dataclasses.fields(PublisherConfig)}
PARAMETERS = inspect.signature(Publisher).parameters

#: Arguments that describe the connection and the producer; they are not part of the configuration.
OTHER = ["url", "client_factory", "producer"]

#: A value for each field that differs from its default: as an argument, and in the configuration.
VALUES: dict[str, tuple[Any, Any]] = {
    "run_id": ("r", "r"),
    "labels": ({"nodes": 2}, {"nodes": "2"}),
    "key_prefix": ("other", "other"),
    "buffer_events": (11, 11),
    "buffer_bytes": (12, 12),
    "batch_events": (13, 13),
    "batch_bytes": (14, 14),
    "linger_s": (1.5, 1.5),
    "close_timeout_s": (2.5, 2.5),
    "maxlen": (15, 15),
    "spill_path": ("/spill", Path("/spill")),
    "spill_bytes": (16, 16),
}


def documented() -> dict[str, str]:
    """Return the text of each argument in the docstring of Publisher."""
    section = (inspect.getdoc(Publisher) or "").partition("Args:\n")[2].partition("\nRaises:")[0]
    parts = re.split(r"^    (\w+): ", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def written(name: str, value: object) -> str:
    """Return a default in the form of the docstring."""
    if isinstance(value, int) and name.endswith("_bytes"):
        return f"{value >> 30} GiB" if value >= 1 << 30 else f"{value >> 20} MiB"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_signature_has_every_field() -> None:
    """Publisher has one keyword for each field of the configuration, and each is documented, in the same order."""
    assert [name for name in PARAMETERS if name not in OTHER] == list(FIELDS)
    assert list(documented()) == list(PARAMETERS)
    assert list(VALUES) == list(FIELDS)


@pytest.mark.parametrize("name", [*CHECKS])
def test_defaults_have_one_source(name: str) -> None:
    """The signature takes the default of a number from the configuration, and the docstring states it."""
    default = FIELDS[name].default

    assert PARAMETERS[name].default == default
    assert re.search(rf"\b[Dd]efault: {re.escape(written(name, default))}[.,]", documented()[name])


def test_a_publisher_without_arguments_has_the_default_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other defaults of the signature mean the defaults of the configuration."""
    monkeypatch.delenv("SANCTUM_KEY_PREFIX", raising=False)

    assert Publisher("r")._config == PublisherConfig(run_id="r")
    assert PublisherConfig(run_id="r").key_prefix == DEFAULT_PREFIX


def test_every_argument_reaches_the_configuration() -> None:
    """No keyword of the signature is dropped on its way to the configuration."""
    config = Publisher(**{name: given for name, (given, _) in VALUES.items()})._config

    assert dataclasses.asdict(config) == {name: expected for name, (_, expected) in VALUES.items()}


def test_every_number_is_checked() -> None:
    """The table of checks has every field of a numeric type."""
    assert set(CHECKS) == {name for name, field in FIELDS.items() if field.type in {int, float, int | None}}


@pytest.mark.parametrize("name", [*CHECKS])
@pytest.mark.parametrize("value", [-1, float("nan"), "many"])
def test_an_invalid_number_is_named(name: str, value: Any) -> None:
    """The error has the name and the value of the argument; NaN and text are invalid too."""
    with pytest.raises(InvalidArgument, match=rf"{name} .*{value}"):
        PublisherConfig(run_id="r", **{name: value})


@pytest.mark.parametrize("name", sorted(set(CHECKS) - {"maxlen"}))
def test_only_maxlen_may_be_none(name: str) -> None:
    """None is not a number, except for `maxlen`, where it means no limit."""
    nothing: Any = None
    assert PublisherConfig(run_id="r", maxlen=None).maxlen is None

    with pytest.raises(InvalidArgument, match=f"{name} has the wrong type: None"):
        PublisherConfig(run_id="r", **{name: nothing})
