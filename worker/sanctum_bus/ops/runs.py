"""What is done to a run from outside: removing it, and putting back or dropping what could not be folded."""

from collections.abc import Callable, Iterable
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
    question,
    refusal,
    shared,
)
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import script

Act = TypeVar("Act", bound=Callable[..., Any])


def run_script(client: redis.Redis, name: str, names: Iterable[str], *arguments: Any) -> Any:
    """Run a script by its text."""
    key_names = list(names)
    return client.execute_command("EVAL", script(name).text, len(key_names), *key_names, *arguments)


def wrong_keys(client: redis.Redis, run: RunKeys) -> list[WrongType]:
    """Return the keys of a run that have the wrong type."""
    return answered(run, client.execute_command(*question(run)))


def wrong_shared(client: redis.Redis, prefix: str) -> list[WrongType]:
    """Return those of the keys that no run owns which have the wrong type."""
    return shared(prefix, {key: client.type(key) for key in fixed_rows(prefix)})


def naming_keys(act: Act) -> Act:
    """Let an act on a run, where the server refuses it for the type of a key, raise `NotNow` that names the key."""

    @wraps(act)
    def named(client: redis.Redis, run: RunKeys, *args: Any, **given: Any) -> Any:
        try:
            return act(client, run, *args, **given)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            wrong = wrong_keys(client, run) + wrong_shared(client, run.prefix)
            raise refusal(f"run {run.run_id}", wrong) from error

    return cast("Act", named)


def must_exist(client: redis.Redis, run: RunKeys) -> None:
    """Refuse a run of which there is nothing.

    Raises:
        UnknownRun: there is nothing.
    """
    if not client.exists(*run.fixed):
        raise _unknown(run)


def _unknown(run: RunKeys) -> UnknownRun:
    return UnknownRun(f"there is no run {run.run_id!r} on this server; `sanctum runs` lists what there is")


@naming_keys
def remove_run(client: redis.Redis, run: RunKeys) -> int:
    """Remove every key of a run at once, then its name from the index; return how many keys there were.

    A producer that still publishes brings the run back, with what it publishes from then on.

    Raises:
        UnknownRun: there is nothing to remove.
        RedisError: the server could not be asked.
    """
    # The index of sections comes first in `fixed`: by it the script finds the keys that have no fixed name.
    removed = cast("int", run_script(client, "remove", run.fixed, run.base))
    listed = cast("int", client.execute_command("ZREM", keys.runs(run.prefix), run.run_id))
    if not removed and not listed:
        raise _unknown(run)
    return removed
