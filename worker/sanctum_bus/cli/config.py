"""`config`: the current settings and the source of each."""

import json
from dataclasses import dataclass
from typing import Any

import typer

from sanctum_bus.cli.options import (
    GlobalOptions,
    JsonOption,
    is_given,
)
from sanctum_bus.cli.output import print_json, show, table
from sanctum_bus.connection import redacted, target_of
from sanctum_bus.ops.embedded import running_server
from sanctum_bus.protocol.keys import check_prefix
from sanctum_bus.worker.settings import Settings, load_traced
from sanctum_bus.worker.settings_origin import DEFAULT, Origin

#: Examples at the end of the help.
EXAMPLES = ("sanctum config", "sanctum config --json")


def command(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Print every setting, its value and its source."""
    where = ctx.find_object(GlobalOptions) or GlobalOptions()
    config(
        where.redis if is_given(ctx, "redis") else None,
        where.prefix if is_given(ctx, "prefix") else None,
        as_json=as_json,
    )


#: The source of the URL of a running embedded server.
_RUNNING = Origin("running", "sanctum server")


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    value: Any
    origin: Origin


def config(redis: str | None, prefix: str | None, *, as_json: bool) -> None:
    """Print the value and the source of every setting; secrets are masked.

    Args:
        redis: the option --redis; None if it was not given.
        prefix: the option --prefix; None if it was not given.
        as_json: print JSON for tools.

    Raises:
        ConfigurationError: a setting is invalid or unknown.
        InvalidArgument: the prefix is invalid.
    """
    rows = _rows(redis, prefix)
    if as_json:
        print_json(
            {
                one.name: {"value": one.value, "source": one.origin.kind, "where": one.origin.where}
                for one in rows
            }
        )
        return
    show(
        table(("setting", "value", "source"), [(one.name, _text(one.value), str(one.origin)) for one in rows])
    )


def _rows(redis: str | None, prefix: str | None) -> list[_Row]:
    loaded = load_traced(redis_url=redis, key_prefix=prefix)
    found = {name: _Row(name, loaded.shown(name), loaded.origins[name]) for name in Settings.model_fields}
    # Report an invalid URL or prefix as every other command does.
    target_of(loaded.settings.redis_url.get_secret_value())
    check_prefix(loaded.settings.key_prefix)
    running = running_server() if loaded.origins["redis_url"] == DEFAULT else None
    if running is not None:
        found["redis_url"] = _Row("redis_url", redacted(running), _RUNNING)
    return list(found.values())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
