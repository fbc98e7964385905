"""How and where a publisher sends: its arguments, checked once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from sanctum_bus.connection import URL_VARIABLE, connect_to, resolve_url, target_of
from sanctum_bus.errors import ConfigurationError, InvalidArgument
from sanctum_bus.events.bounded_repr import clean
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.entry import LABELS

#: Seconds that a server has to accept a connection, and to answer.
ANSWER_TIMEOUT_S = 5.0

_MAX_LABEL_BYTES = keys.MAX_NAME_BYTES - len(f"{LABELS}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherConfig:
    """What a publisher was told; see `Publisher` for each part.

    Raises:
        BadInput: a part is not usable.
    """

    run_id: str
    key_prefix: str
    labels: Mapping[str, str]
    buffer_events: int
    buffer_bytes: int
    batch_events: int
    batch_bytes: int
    linger_s: float
    close_timeout_s: float
    maxlen: int | None
    spill_path: Path | None = None
    spill_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        try:
            self._check()
        except TypeError as error:
            raise InvalidArgument(f"an argument of the publisher has the wrong type: {error}") from error

    def _check(self) -> None:
        # Made for its checks of the run id and the prefix.
        keys.RunKeys(self.run_id, self.key_prefix)
        for name in ("buffer_events", "buffer_bytes", "batch_events", "batch_bytes", "maxlen", "spill_bytes"):
            size = getattr(self, name)
            if (size is not None or name != "maxlen") and size < 1:
                raise InvalidArgument(f"{name} must be at least 1, not {size}")
        for name in ("linger_s", "close_timeout_s"):
            # Not `< 0`: it would let a NaN through, which no wait understands.
            if not getattr(self, name) >= 0:
                raise InvalidArgument(f"{name} must be 0 or more seconds, not {getattr(self, name)}")
        for name in self.labels:
            if len(name.encode()) > _MAX_LABEL_BYTES:
                raise InvalidArgument(f"a label's name of more than {_MAX_LABEL_BYTES} bytes: {name[:40]}...")

    @property
    def keys(self) -> keys.RunKeys:
        """The keys of the run."""
        return keys.RunKeys(self.run_id, self.key_prefix)


def labels_of(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels as text that can be sent; what is given as a number becomes text too.

    Raises:
        BadInput: they are no mapping.
    """
    try:
        return {clean(str(name)): clean(str(text)) for name, text in (labels or {}).items()}
    except AttributeError:
        raise InvalidArgument(f"labels should be a mapping of names to texts, not {labels!r:.80}") from None


def folder_of(path: str | os.PathLike[str] | None) -> Path | None:
    """Return where a publisher may spill, or None where it must not; nothing is made there yet.

    Raises:
        BadInput: it is no path.
    """
    try:
        return None if path is None else Path(path).absolute()
    except (TypeError, OSError) as error:
        raise InvalidArgument(f"spill_path should be the path of a directory, not {path!r:.80}") from error


def factory_of(url: str | None, environ: Mapping[str, str] = os.environ) -> Callable[[], Redis]:
    """Return what makes clients for a URL, or for the one in the environment.

    Raises:
        BadInput: it is no URL of a Redis server, or names a file that is not there.
    """
    source = "url" if url is not None else URL_VARIABLE
    try:
        target = target_of(resolve_url(url, environ))
    except ConfigurationError as error:
        raise InvalidArgument(f"{source}: {error}") from None
    return lambda: connect_to(target, timeout_s=ANSWER_TIMEOUT_S)


def connect(url: str) -> Redis:
    """Return a client that never retries and never waits without end."""
    return connect_to(target_of(url), timeout_s=ANSWER_TIMEOUT_S)
