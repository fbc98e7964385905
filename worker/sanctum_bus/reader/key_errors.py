"""Read keys, and name a key that has the wrong type."""

from typing import Any

from redis.exceptions import ResponseError

from sanctum_bus.protocol import keys
from sanctum_bus.protocol.key_types import answered, is_wrong_type, refusal, shared
from sanctum_bus.protocol.keys import RunKeys
from sanctum_bus.protocol.scripts import calls
from sanctum_bus.reader.effects import Program, read


def read_index(prefix: str) -> Program[Any]:
    """Return the index of runs: names and times of the last activity, in the form of the reply.

    Raises:
        Unavailable: the index has the wrong type.
    """
    key = keys.runs(prefix)
    try:
        return (yield from read("ZRANGE", key, 0, -1, "WITHSCORES"))
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        wrong = shared(prefix, {key: (yield from read("TYPE", key))})
        raise refusal("the index of runs", wrong) from error


def read_run(run: RunKeys, *args: str | int) -> Program[Any]:
    """Return the reply to a command that reads keys of a run.

    Args:
        run: the keys of the run.
        args: the command.

    Raises:
        Unavailable: a key of the run has the wrong type.
    """
    try:
        return (yield from read(*args))
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        wrong = answered(run, (yield from calls.run_program(calls.key_types(run), read)))
        raise refusal(f"run {run.run_id}", wrong) from error
