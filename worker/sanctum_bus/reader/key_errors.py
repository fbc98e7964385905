"""Asking for a run, or for all: a key that has the wrong type is named."""

from typing import Any

from redis.exceptions import ResponseError

from sanctum_bus.protocol import keys
from sanctum_bus.protocol.key_types import answered, is_wrong_type, refusal, shared
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.reader.effects import Program, ask


def index_of_runs(prefix: str) -> Program[Any]:
    """Return the runs of the index with the times of their last activity, as the server gives them.

    Raises:
        NotNow: the index has the wrong type.
    """
    key = keys.runs(prefix)
    try:
        return (yield from ask("ZRANGE", key, 0, -1, "WITHSCORES"))
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        wrong = shared(prefix, {key: (yield from ask("TYPE", key))})
        raise refusal("the index of runs", wrong) from error


def ask_of(run: RunKeys, *args: str | int) -> Program[Any]:
    """Return the reply to a command that reads keys of a run.

    Raises:
        NotNow: a key of the run has the wrong type.
    """
    try:
        return (yield from ask(*args))
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        wrong = answered(run, (yield from calls.run_program(calls.key_types(run), ask)))
        raise refusal(f"run {run.run_id}", wrong) from error
