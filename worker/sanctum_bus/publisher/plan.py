"""How and where a publisher sends: its arguments, checked once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from sanctum_bus import keys
from sanctum_bus.errors import BadInput
from sanctum_bus.wire.fields import LABELS
from sanctum_bus.wire.printing import clean

#: Where Redis is if neither the argument `url` nor the variable says so.
DEFAULT_URL = "redis://localhost:6379/0"
URL_VARIABLE = "SANCTUM_REDIS_URL"

#: Seconds that the server has to accept a connection, and to answer.
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 3.0, 5.0

_MAX_LABEL_BYTES = keys.MAX_NAME_BYTES - len(f"{LABELS}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
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

    def __post_init__(self) -> None:
        try:
            self._check()
        except TypeError as error:
            raise BadInput(f"an argument of the publisher has the wrong type: {error}") from error

    def _check(self) -> None:
        # Made for its checks of the run id and the prefix.
        keys.RunKeys(self.run_id, self.key_prefix)
        for name in ("buffer_events", "buffer_bytes", "batch_events", "batch_bytes", "maxlen"):
            size = getattr(self, name)
            if (size is not None or name != "maxlen") and size < 1:
                raise BadInput(f"{name} must be at least 1, not {size}")
        for name in ("linger_s", "close_timeout_s"):
            # Not `< 0`: it would let a NaN through, which no wait understands.
            if not getattr(self, name) >= 0:
                raise BadInput(f"{name} must be 0 or more seconds, not {getattr(self, name)}")
        for name in self.labels:
            if len(name.encode()) > _MAX_LABEL_BYTES:
                raise BadInput(f"a label's name of more than {_MAX_LABEL_BYTES} bytes: {name[:40]}...")

    @property
    def keys(self) -> keys.RunKeys:
        """The keys of the run."""
        return keys.RunKeys(self.run_id, self.key_prefix)


def labels_of(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return labels as text that can be sent; what is given as a number becomes text too."""
    return {clean(str(name)): clean(str(text)) for name, text in (labels or {}).items()}


def factory_of(url: str | None, environ: Mapping[str, str] = os.environ) -> Callable[[], Redis]:
    """Return what makes clients for a URL, or for the one in the environment.

    Raises:
        BadInput: it is no URL of a Redis server. It is not shown, since it may hold a password.
    """
    source = "url" if url is not None else URL_VARIABLE
    chosen = url if url is not None else environ.get(URL_VARIABLE) or DEFAULT_URL
    try:
        parse_url(chosen)
    except (ValueError, TypeError, AttributeError) as error:
        expected = "redis://HOST:PORT/DB, rediss://… or unix:///PATH"
        raise BadInput(f"{source} is no URL of a Redis server; it should look like {expected}") from error
    return lambda: connect(chosen)


def connect(url: str) -> Redis:
    """Return a client that never retries and never waits without end."""
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        # Greetings that most servers refuse, and count as errors.
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
