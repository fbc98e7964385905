"""The pages of the reference that are made from the code.

    python -m tests.support.doc_pages

writes them anew; a test says when one is out of date.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import SecretStr
from typer.testing import CliRunner

from sanctum_bus.cli import app
from sanctum_bus.cli.group import COMMANDS
from sanctum_bus.events import catalog
from sanctum_bus.events.catalog import Declared, Variant
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.settings_origin import PREFIX
from tests.support.paths import ROOT

DOCS = ROOT / "docs"

_MADE = "<!-- generated: python -m tests.support.doc_pages -->\n"

#: How a limit of a setting is written, by its name in the schema.
_LIMITS = {
    "exclusiveMinimum": "above {}",
    "minimum": "{} or more",
    "maximum": "{} or less",
    "minLength": "not empty",
    "pattern": "`{}`",
}


def settings() -> str:
    """Return the page of settings."""
    properties = Settings.model_json_schema()["properties"]
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        limits = [
            words.format(properties[name][key]) for key, words in _LIMITS.items() if key in properties[name]
        ]
        rows.append((f"`{name}`", f"`{json.dumps(default)}`", ", ".join(limits), field.description or ""))
    return (
        f"# Settings\n\n{_MADE}\n"
        "What a worker can be told, as an environment variable (`poll_timeout_ms` is "
        f"`{PREFIX}BLOCK_MS`) or in the TOML file that `SANCTUM_CONFIG` names; [Operating](operating.md#settings) says which goes "
        "first. Units are in the names: `_s` seconds, `_ms` milliseconds, `_bytes`. `redis_url` and `key_prefix` are for every "
        "command.\n\n" + _table(("setting", "default", "limits", "what it does"), rows)
    )


def commands() -> str:
    """Return the page of commands: their own help."""
    parts = [_help()]
    parts += [f"## {name}\n\n{_help(name)}" for name in COMMANDS]
    return (
        f"# Commands\n\n{_MADE}\n"
        "What `--help` says of each. Exit status: 0 all is well; 1 what was asked for could not be done, and a line on standard "
        "error says why; 2 the command line is wrong; 130 Ctrl-C before it was done. Commands that run until they are told to stop "
        "end with 0 at Ctrl-C: `server`, `worker`, `watch`, `log --follow`, and `demo` on a terminal.\n\n"
        + "\n".join(parts)
    )


def _help(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="sanctum")
    lines = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
    return f"```text\n{lines}\n```\n"


def catalogue() -> str:
    """Return the page of declared event types and fields."""
    found = catalog.declared().values()
    head = (
        f"# Catalogue\n\n{_MADE}\n"
        f"The {len(catalog.declared_types())} event types and {len(found)} fields that are declared: their types in the emitter's "
        "notation, unit, meaning, and where the fold keeps them, as section and field. "
        "What is not declared is kept all the same; see [what each event does](folding.md). A field that means "
        "different things in different shapes of its event has a row for each.\n"
    )
    parts = [head]
    for event_type in catalog.declared_types():
        fields = [field for field in found if field.event_type == event_type]
        rows = [row for field in fields for row in _rows(field)]
        parts.append(
            f"## {event_type}\n\n" + _table(("field", "type", "unit", "meaning", "emitted", "kept in"), rows)
        )
    return "\n".join(parts)


def _rows(field: Declared) -> Iterable[tuple[str, ...]]:
    types = " or ".join(field.types) + (" or null" if field.nullable else "")
    for variant in field.variants:
        yield (
            f"`{field.field}`",
            types,
            variant.unit,
            _meaning(field, variant),
            variant.when,
            "; ".join(f"`{place}`" for place in variant.kept.split("; ")),
        )


def _meaning(field: Declared, variant: Variant) -> str:
    shape = f"({variant.name}) " if len(field.variants) > 1 and variant.name else ""
    inside = ", ".join(f"`{name}`: {meaning}" for name, meaning in field.nested.items())
    return shape + variant.meaning + (f". Holds {inside}" if inside else "")


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(_cell(str(cell)) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    text = text.replace("|", "\\|")
    return text if "`" in text else text.replace("<", "&lt;").replace("*", "\\*")


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "commands.md": commands,
    "catalogue.md": catalogue,
}

if __name__ == "__main__":
    for page_name, page in PAGES.items():
        (DOCS / page_name).write_text(page())
