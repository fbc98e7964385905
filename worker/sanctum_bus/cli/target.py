"""The server and the keys that a command works on, and errors of the server as sentences."""

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
from sanctum_bus.connection import connect, permanent_error, redacted, resolve_url, target_of
from sanctum_bus.errors import CommandFailed
from sanctum_bus.ops.embedded import running_server
from sanctum_bus.protocol.keys import DEFAULT_PREFIX, RunKeys, resolve_prefix

if TYPE_CHECKING:
    from sanctum_bus.reader import Reader


@dataclass(frozen=True, slots=True)
class ServerTarget:
    """A server and the prefix of its keys.

    Args:
        url: the server's URL.
        prefix: the key prefix.
        chosen: the user chose the server; otherwise it is the default.
    """

    url: str
    prefix: str = DEFAULT_PREFIX
    chosen: bool = True

    def keys(self, run_id: str) -> RunKeys:
        """Return the keys of a run."""
        return RunKeys(run_id, self.prefix)

    @contextmanager
    def reader(self) -> "Iterator[Reader]":
        """Yield a reader; errors of the server become `CommandFailed`."""
        # Imported late: not every command reads, and all should start fast.
        from sanctum_bus.reader import Reader

        with self.explain_errors(), Reader(self.url, key_prefix=self.prefix) as reader:
            yield reader

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Yield a client; errors of the server become `CommandFailed`."""
        with self.explain_errors(), connect(self.url) as client:
            yield client

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Translate errors of the server into sentences.

        Raises:
            CommandFailed: the server could not execute the request.
        """
        try:
            yield
        except RedisError as error:
            # A reply of the server is clear without a diagnosis.
            refusal = permanent_error(error, target_of(self.url), self.url) if _is_mute(error) else None
            raise CommandFailed(str(refusal or sentence(error, redacted(self.url)))) from error


def _is_mute(error: RedisError) -> bool:
    return isinstance(error, NoConnection | TooLate) and not isinstance(
        error, AuthenticationError | BusyLoadingError
    )


#: The sentence for each kind of redis-py error; the first match wins, so special errors come first.
_SENTENCES: tuple[tuple[tuple[type[RedisError], ...], str], ...] = (
    (
        (AuthenticationError, AuthorizationError),
        "the server at {url} rejected the credentials ({error}); correct the URL, 'sanctum config' prints its source",
    ),
    (
        (NoPermissionError,),
        "permission denied by the server at {url} ({error}); grant the right or use another user",
    ),
    ((BusyLoadingError,), "the server at {url} is loading its data; try again in a moment"),
    (
        (TooLate,),
        "the server at {url} did not reply in time ({error}); check whether it is busy, or try again",
    ),
    ((NoConnection,), "no server answers at {url} ({error}); start one with: sanctum server"),
    ((ResponseError,), "the server at {url} returned an error: {error}"),
    ((RedisError,), "the server at {url} cannot be used: {error}"),
)


def sentence(error: RedisError, url: str) -> str:
    """Return the sentence for a redis-py error."""
    words = next(words for kinds, words in _SENTENCES if isinstance(error, kinds))
    return words.format(url=url, error=error)


def resolve(where: GlobalOptions) -> ServerTarget:
    """Return the target: from the options or the environment, else the settings file, else the embedded server, else localhost."""
    url, prefix = where.redis, where.prefix
    if os.environ.get("SANCTUM_CONFIG"):
        # Imported only if needed: loading it takes longer than most commands run.
        from sanctum_bus.worker.settings import load

        settings = load(redis_url=url, key_prefix=prefix)
        prefix = settings.key_prefix
        if "redis_url" in settings.model_fields_set:
            url = settings.redis_url.get_secret_value()
    prefix = resolve_prefix(prefix or None)
    if url:
        return ServerTarget(url, prefix)
    running = running_server()
    return ServerTarget(resolve_url(running), prefix, chosen=running is not None)


def of(ctx: typer.Context) -> ServerTarget:
    """Return the target that the options before the command name."""
    return resolve(ctx.find_object(GlobalOptions) or GlobalOptions())
