"""`workers`: the live workers and their runs."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, cast

import redis
import typer
from redis.exceptions import ResponseError
from rich.text import Text

from sanctum_bus.cli import target
from sanctum_bus.cli.options import (
    JsonOption,
)
from sanctum_bus.cli.output import Row, complain, print_json, show, table
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.connection import owner
from sanctum_bus.ops.runs import wrong_shared
from sanctum_bus.protocol import keys
from sanctum_bus.protocol.key_types import is_wrong_type, refusal
from sanctum_bus.views.derived import as_float
from sanctum_bus.views.format import UNKNOWN, count, duration, printable

#: Examples at the end of the help.
EXAMPLES = ("sanctum workers", "sanctum workers -v")


def command(
    ctx: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also list the runs of each worker.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the live workers with their runs, lag and last error."""
    workers(target.of(ctx), as_json=as_json, verbose=verbose)


#: Characters of an error to show.
_ERROR_CHARS = 80


class _Seen(NamedTuple):
    """The live workers with their status.

    Args:
        now_ms: the server's time, in ms of Unix time.
        said: worker -> status; empty for a worker that has not reported yet.
    """

    now_ms: int
    said: dict[str, Mapping[str, Any]]


def workers(server: ServerTarget, *, as_json: bool, verbose: bool) -> None:
    """Print the live workers, and with `verbose` the runs of each.

    Raises:
        Unavailable: a shared key has the wrong type.
    """
    with server.client() as client:
        try:
            seen = _look(client, server.prefix)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            raise refusal("the list of workers", wrong_shared(client, server.prefix)) from error
    if as_json:
        for worker, said in seen.said.items():
            print_json({**said, "worker": worker})
        return
    if not seen.said:
        complain(
            f"no live workers on this server (key prefix {server.prefix}); start one with: sanctum worker"
        )
        return
    rows = [_row(worker, said, seen.now_ms) for worker, said in seen.said.items()]
    heads = ("worker", "since", ">runs", ">waiting", "lag", "last error")
    show(table(heads, rows))
    if verbose:
        _show_runs(seen)


def _look(client: redis.Redis, prefix: str) -> _Seen:
    # The clock of the server that decides which workers are alive.
    seconds, microseconds = owner(client, keys.workers(prefix)).time()
    now_ms = seconds * 1000 + microseconds // 1000
    alive = client.execute_command("ZRANGE", keys.workers(prefix), now_ms, "+inf", "BYSCORE")
    said = cast("dict[bytes, bytes]", client.hgetall(keys.workers_state(prefix)))
    return _Seen(
        now_ms, {one.decode("utf-8", "replace"): _record(said.get(one, b"")) for one in sorted(alive)}
    )


def _record(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _row(worker: str, said: Mapping[str, Any], now_ms: int) -> Row:
    return (
        Text(printable(worker), style="bold"),
        _ago(said.get("since_ms"), now_ms),
        count(said.get("owned")),
        count(said.get("waiting")),
        _lag(said),
        _error(said.get("last_error", ""), now_ms),
    )


def _ago(at_ms: object, now_ms: int) -> str:
    at = as_float(cast("Any", at_ms))
    return f"{duration((now_ms - at) / 1000)} ago" if at else UNKNOWN


def _lag(said: Mapping[str, Any]) -> str:
    behind, seconds = as_float(said.get("lag_events")), as_float(said.get("lag_s"))
    if behind is None and seconds is None:
        return "unknown" if said else UNKNOWN
    if not behind and not seconds:
        return "none"
    return f"{'unknown' if behind is None else count(behind)} events, {duration(seconds)}"


def _error(error: object, now_ms: int) -> str:
    if not isinstance(error, dict):
        return "none" if error is None else UNKNOWN
    place = f"{error.get('work')} {error.get('where') or ''}".strip()
    return f"{_ago(error.get('at_ms'), now_ms)}, {place}: {printable(error.get('text'), _ERROR_CHARS)}"


def _show_runs(seen: _Seen) -> None:
    rows: list[Row] = []
    for worker, said in seen.said.items():
        runs = said.get("runs")
        named = runs if isinstance(runs, dict) else {}
        rows += [
            (Text(printable(run_id), style="bold"), worker, _ago(one.get("since_ms"), seen.now_ms), _lag(one))
            for run_id, one in named.items()
            if isinstance(one, dict)
        ]
        more = int(as_float(said.get("owned")) or 0) - len(named)
        if more > 0:
            rows.append((f"and {more:,} more", worker, UNKNOWN, UNKNOWN))
    show(table(("run", "worker", "since", "lag"), rows))
