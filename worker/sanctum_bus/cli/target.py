"""Where a command works: which server, which keys, and what is said when the server cannot be asked."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
import typer
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as TooLate

from sanctum_bus.cli.options import GlobalOptions
from sanctum_bus.connection import DEFAULT_URL, connect, permanent_error, redacted, target_of
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops.embedded import running_server
from sanctum_bus.protocol.keys import DEFAULT_PREFIX, RunKeys

if TYPE_CHECKING:
    from sanctum_bus.reader import Reader


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """A server and what its keys begin with.

    Args:
        url: of the server.
        prefix: what every key begins with.
        chosen: somebody named the server; otherwise it is the default.
    """

    url: str
    prefix: str = DEFAULT_PREFIX
    chosen: bool = True

    def keys(self, run_id: str) -> RunKeys:
        """Return the keys of a run."""
        return RunKeys(run_id, self.prefix)

    @contextmanager
    def reader(self) -> "Iterator[Reader]":
        """Yield a reader; trouble with the server becomes a sentence."""
        # Not every command reads, and all are to start at once.
        from sanctum_bus.reader import Reader

        with self.explain_errors(), Reader(self.url, key_prefix=self.prefix) as reader:
            yield reader

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Yield a client; trouble with the server becomes a sentence."""
        with self.explain_errors(), connect(self.url) as client:
            yield client

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Say in a sentence what is wrong with the server.

        Raises:
            Failed: the server could not be asked.
        """
        try:
            yield
        except RedisError as error:
            # Not for what a server says: that is clear enough.
            refusal = permanent_error(error, target_of(self.url), self.url) if _is_mute(error) else None
            raise CommandFailed(str(refusal or sentence(error, redacted(self.url)))) from error


def _is_mute(error: RedisError) -> bool:
    return isinstance(error, NoConnection | TooLate) and not isinstance(
        error, AuthenticationError | BusyLoadingError
    )


#: What a person should know of an error of redis-py, and do; the first that fits, so that special ones come first.
_SENTENCES: tuple[tuple[tuple[type[RedisError], ...], str], ...] = (
    (
        (AuthenticationError, AuthorizationError),
        "the server at {url} refuses the credentials ({error}); correct its URL, `sanctum config` says where it is from",
    ),
    (
        (NoPermissionError,),
        "the server at {url} does not permit it ({error}); grant the right or use another user",
    ),
    ((BusyLoadingError,), "the server at {url} is still loading its data; try again in a moment"),
    (
        (TooLate,),
        "the server at {url} does not answer in time ({error}); look whether it is busy, or try again",
    ),
    ((NoConnection,), "no server answers at {url} ({error}); start one with: sanctum server"),
    ((ResponseError,), "the server at {url} refuses: {error}"),
    ((RedisError,), "the server at {url} cannot be asked: {error}"),
)


def sentence(error: RedisError, url: str) -> str:
    """Return what a person should know of an error of redis-py, and do."""
    words = next(words for kinds, words in _SENTENCES if isinstance(error, kinds))
    return words.format(url=url, error=error)


def resolve(where: GlobalOptions) -> ServerTarget:
    """Return where to work: what the options or the environment say, then the settings file, then what runs here."""
    url, prefix = where.redis, where.prefix
    if os.environ.get("SANCTUM_CONFIG"):
        # Only where it is wanted: loading it takes longer than most commands do.
        from sanctum_bus.worker.settings import load

        settings = load(redis_url=url, key_prefix=prefix)
        prefix = settings.key_prefix
        if "redis_url" in settings.model_fields_set:
            url = settings.redis_url.get_secret_value()
    prefix = prefix or DEFAULT_PREFIX
    if url:
        return ServerTarget(url, prefix)
    running = running_server()
    return ServerTarget(running or DEFAULT_URL, prefix, chosen=running is not None)


def of(ctx: typer.Context) -> ServerTarget:
    """Return the target that the options before the command name."""
    return resolve(ctx.find_object(GlobalOptions) or GlobalOptions())
