"""The configuration of a publisher: each argument with its default and its check, in one place."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from sanctum_bus.connection import URL_VARIABLE, connect_to, resolve_url, target_of
from sanctum_bus.errors import ConfigurationError, InvalidArgument
from sanctum_bus.events.bounded_repr import clean
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.entry import LABELS

#: Seconds within which a server has to accept a connection, and to reply.
ANSWER_TIMEOUT_S = 5.0

_MAX_LABEL_BYTES = keys.MAX_NAME_BYTES - len(f"{LABELS}.")


def _check_size(name: str, value: Any) -> None:
    # Not `value < 1`: that accepts NaN.
    if not value >= 1:
        raise InvalidArgument(f"{name} must be at least 1, not {value}")


def _check_optional_size(name: str, value: Any) -> None:
    if value is not None:
        _check_size(name, value)


def _check_seconds(name: str, value: Any) -> None:
    # Not `value < 0`, for the same reason.
    if not value >= 0:
        raise InvalidArgument(f"{name} must be 0 or more seconds, not {value}")


#: The check of each argument that is a number. A check raises InvalidArgument, or TypeError for a value of a wrong type.
CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "buffer_events": _check_size,
    "buffer_bytes": _check_size,
    "batch_events": _check_size,
    "batch_bytes": _check_size,
    "linger_s": _check_seconds,
    "close_timeout_s": _check_seconds,
    "maxlen": _check_optional_size,
    "spill_bytes": _check_size,
}


# Without slots: the signature of `Publisher` reads the defaults from the class.
@dataclass(frozen=True, kw_only=True)
class PublisherConfig:
    """Arguments of a `Publisher`, checked; its docstring describes each one.

    Raises:
        InvalidArgument: an argument is invalid; the message has its name and its value.
    """

    run_id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    key_prefix: str = keys.DEFAULT_PREFIX
    buffer_events: int = 100_000
    buffer_bytes: int = 64 << 20
    batch_events: int = 500
    batch_bytes: int = 1 << 20
    linger_s: float = 0.005
    close_timeout_s: float = 5.0
    maxlen: int | None = None
    spill_path: Path | None = None
    spill_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        try:
            # Creating the keys checks the run ID and the prefix.
            keys.RunKeys(self.run_id, self.key_prefix)
        except TypeError:
            raise InvalidArgument(f"run_id must be text, not {self.run_id!r:.80}") from None
        for name, check in CHECKS.items():
            value = getattr(self, name)
            try:
                check(name, value)
            except TypeError as error:
                raise InvalidArgument(f"{name} has the wrong type: {value!r:.80}") from error
        for name in self.labels:
            if len(name.encode()) > _MAX_LABEL_BYTES:
                raise InvalidArgument(f"label name longer than {_MAX_LABEL_BYTES} bytes: {name[:40]!r}...")

    @property
    def keys(self) -> keys.RunKeys:
        """Return the keys of the run."""
        return keys.RunKeys(self.run_id, self.key_prefix)


def parse_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels as text that can be sent. Values of other types, such as numbers, become text.

    Raises:
        InvalidArgument: `labels` is not a mapping.
    """
    try:
        return {clean(str(name)): clean(str(text)) for name, text in (labels or {}).items()}
    except AttributeError:
        raise InvalidArgument(f"labels must be a mapping of names to texts, not {labels!r:.80}") from None


def parse_spill_path(path: str | os.PathLike[str] | None) -> Path | None:
    """Return the absolute path of the spill directory, or None if there is none. Creates nothing.

    Raises:
        InvalidArgument: `path` is not a path.
    """
    try:
        return None if path is None else Path(path).absolute()
    except (TypeError, OSError) as error:
        raise InvalidArgument(f"spill_path must be the path of a directory, not {path!r:.80}") from error


def client_factory_for(url: str | None, environ: Mapping[str, str] = os.environ) -> Callable[[], Redis]:
    """Return a factory of clients for a URL, or for the URL of the environment if `url` is None.

    Raises:
        InvalidArgument: the URL is invalid, or names a file that does not exist.
    """
    source = "url" if url is not None else URL_VARIABLE
    try:
        target = target_of(resolve_url(url, environ))
    except ConfigurationError as error:
        raise InvalidArgument(f"{source}: {error}") from None
    return lambda: connect_to(target, timeout_s=ANSWER_TIMEOUT_S)
