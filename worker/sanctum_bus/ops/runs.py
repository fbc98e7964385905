"""Operations on a whole run: check that it exists, find keys of the wrong type, remove it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import redis
from redis.exceptions import ResponseError

from sanctum_bus.errors import UnknownRun
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.key_types import (
    WrongType,
    answered,
    fixed_rows,
    is_wrong_type,
    refusal,
    shared,
)
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import calls

Operation = TypeVar("Operation", bound=Callable[..., Any])


def wrong_keys(client: redis.Redis, run: RunKeys) -> list[WrongType]:
    """Return the keys of a run that have the wrong type."""
    return answered(run, calls.run(client, calls.key_types(run)))


def wrong_shared(client: redis.Redis, prefix: str) -> list[WrongType]:
    """Return the keys that no run owns and that have the wrong type."""
    return shared(prefix, {key: client.type(key) for key in fixed_rows(prefix)})


def explain_wrong_types(operation: Operation) -> Operation:
    """Decorate an operation on a run: a WRONGTYPE error becomes `Unavailable`, which names the key and the remedy."""

    @wraps(operation)
    def explained(client: redis.Redis, run: RunKeys, *args: Any, **given: Any) -> Any:
        try:
            return operation(client, run, *args, **given)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            wrong = wrong_keys(client, run) + wrong_shared(client, run.prefix)
            raise refusal(f"run {run.run_id}", wrong) from error

    return cast("Operation", explained)


def require_run(client: redis.Redis, run: RunKeys) -> None:
    """Check that at least one key of a run exists.

    Raises:
        UnknownRun: no key exists.
    """
    if not client.exists(*run.fixed):
        raise _unknown(run)


def _unknown(run: RunKeys) -> UnknownRun:
    return UnknownRun(f"there is no run {run.run_id!r} on this server; 'sanctum runs' lists the runs")


@explain_wrong_types
def remove_run(client: redis.Redis, run: RunKeys) -> int:
    """Remove every key of a run in one step, then its name from the index; return the number of keys.

    A producer that still publishes creates the run again, with the events that it publishes from then on.

    Raises:
        UnknownRun: the run does not exist.
        Unavailable: a key has the wrong type.
        RedisError: the server could not execute a request.
    """
    removed = cast("int", calls.run(client, calls.remove_run(run)))
    listed = cast("int", client.execute_command("ZREM", keys.runs(run.prefix), run.run_id))
    if not removed and not listed:
        raise _unknown(run)
    return removed
