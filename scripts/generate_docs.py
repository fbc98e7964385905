"""Generate what the documentation and config/ repeat from the code.

    python -m scripts.generate_docs           write
    python -m scripts.generate_docs --check   print the files that are out of date; exit 1 if there are any

The text of a page is written by hand. Only the part between `<!-- generated:NAME -->` and `<!-- /generated -->` comes
from here, so the source of each fact is the table in the code.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import SecretStr
from typer.testing import CliRunner

from sanctum_bus.cli import app
from sanctum_bus.cli.group import COMMANDS
from sanctum_bus.events import catalog
from sanctum_bus.events.catalog import Declared, Variant
from sanctum_bus.fold.derived_fields import ABSENT, DerivedField
from sanctum_bus.fold.derived_fields import TABLE as DERIVED
from sanctum_bus.ops.doctor.checks import RUN_CHECKS, SERVER_CHECKS
from sanctum_bus.protocol import acl, key_table, keys
from sanctum_bus.worker import logs
from sanctum_bus.worker.metrics.table import TABLE as METRICS
from sanctum_bus.worker.settings import Settings
from sanctum_bus.worker.settings_origin import CONFIG_VARIABLE, PREFIX

ROOT = Path(__file__).resolve().parent.parent

#: The pages with the table of Redis keys and with the checks of `sanctum doctor`.
KEYS_PAGE = "docs/how-to/read.md"
CHECKS_PAGE = "docs/how-to/operate.md"

Row = tuple[str, ...]

#: How the page of settings writes a limit, by its name in the JSON schema.
_LIMITS = {
    "exclusiveMinimum": "above {}",
    "minimum": "{} or more",
    "maximum": "{} or less",
    "minLength": "not empty",
    "pattern": "`{}`",
}


#: How the page of derived fields writes a kind of section, if not by its name.
_SECTIONS = {"*": "Every section"}

#: How the page of derived fields writes the time at which a field returns to its default.
_RESETS = {
    "never": "never",
    "start": "when training starts again",
    "episode": "with the next episode of the environment",
    "seed": "with the next seed in the slot, or the next episode",
    "event": "with the next event of the section",
}


class MissingMarker(Exception):
    """A page lacks the markers around a generated part."""


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    return json.dumps(default.get_secret_value() if isinstance(default, SecretStr) else default)


def settings() -> str:
    """Return the table of settings."""
    properties = Settings.model_json_schema()["properties"]
    rows = []
    for name, field in Settings.model_fields.items():
        limits = [
            text.format(properties[name][key]) for key, text in _LIMITS.items() if key in properties[name]
        ]
        rows.append((f"`{name}`", f"`{_default(name)}`", ", ".join(limits), field.description or ""))
    return table(("setting", "default", "limits", "description"), rows)


def sanctum_toml() -> str:
    """Return the configuration file with every setting and its default."""
    lines = [
        "# Every setting of a worker, with its default. Environment variables override this file:",
        f"# {PREFIX}POLL_TIMEOUT_MS=500. A worker reads the file that {CONFIG_VARIABLE} names.",
    ]
    for name, field in Settings.model_fields.items():
        lines += ["", f"# {field.description}", f"{name} = {_default(name)}"]
    return "\n".join(lines) + "\n"


def users_acl() -> str:
    """Return the access control list with one user for each part of Sanctum."""
    lines = ["user default off"]
    for role in acl.ROLES:
        rights = " ".join(f"+{rule}" for rule in role.rules)
        patterns = role.patterns.format(p=keys.DEFAULT_PREFIX)
        lines.append(f"user {role.name} on >change-me-{role.name} resetchannels {patterns} -@all {rights}")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Return the help of every command."""
    return "\n".join([_help(), *(f"## {name}\n\n{_help(name)}" for name in COMMANDS)])


def _help(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="sanctum")
    lines = "\n".join(line.rstrip() for line in result.output.strip().splitlines())
    return f"```text\n{lines}\n```\n"


def metrics() -> str:
    """Return the table of metrics."""
    rows = []
    for metric in METRICS:
        what = f"{metric.what} Only with `metrics_per_run`." if metric.per_run else metric.what
        rows.append((f"`{metric.shown}`", metric.kind.value, _codes(metric.labels), what))
    return table(("metric", "kind", "labels", "description"), rows)


def log_events() -> str:
    """Return the table of log events."""
    rows = [(f"`{event.words}`", event.level, _codes(event.fields), event.meaning) for event in logs.EVENTS]
    return table(("event", "level", "fields", "meaning"), rows)


def redis_keys() -> str:
    """Return the table of Redis keys."""
    rows = []
    for row in key_table.TABLE:
        name = row.name.format(p=keys.DEFAULT_PREFIX, R="R")
        rows.append((f"`{name}`", row.redis_type, row.written_by, row.what))
    return table(("key", "type", "written by", "content"), rows)


def checks() -> str:
    """Return the table of the checks of `sanctum doctor`."""
    rows = [(one.name, one.looks_at, one.why, one.remedy) for one in (*SERVER_CHECKS, *RUN_CHECKS)]
    return table(("check", "looks at", "why", "remedy"), rows)


def derived() -> str:
    """Return a table of derived fields for each kind of section."""
    head = ("field", "unit", "meaning", "default", "returns to the default")
    parts = []
    for kind in dict.fromkeys(row.section for row in DERIVED):
        rows = [_derived_row(row) for row in DERIVED if row.section == kind]
        parts.append(f"## {_SECTIONS.get(kind, kind)}\n\n{table(head, rows)}")
    return "\n".join(parts)


def _derived_row(row: DerivedField) -> Row:
    name = f"`{row.name}<name>`" if row.is_prefix else f"`{row.name}`"
    default = "" if row.default is ABSENT else f"`{json.dumps(row.default)}`"
    return (name, row.unit, row.meaning, default, _RESETS[row.reset])


def declared() -> str:
    """Return a table of declared fields for each event type."""
    found = catalog.declared().values()
    types = catalog.declared_types()
    parts = [f"The catalog declares {len(types)} event types and {len(found)} fields.\n"]
    for event_type in types:
        rows = [row for field in found if field.event_type == event_type for row in _declared_rows(field)]
        head = ("field", "type", "unit", "meaning", "emitted", "kept in")
        parts.append(f"## {event_type}\n\n{table(head, rows)}")
    return "\n".join(parts)


def _declared_rows(field: Declared) -> Iterable[Row]:
    types = " or ".join(field.types) + (" or null" if field.nullable else "")
    for variant in field.variants:
        places = "; ".join(f"`{place}`" for place in variant.kept.split("; "))
        yield (f"`{field.field}`", types, variant.unit, _meaning(field, variant), variant.when, places)


def _meaning(field: Declared, variant: Variant) -> str:
    shape = f"({variant.name}) " if len(field.variants) > 1 and variant.name else ""
    inside = ", ".join(f"`{name}`: {meaning}" for name, meaning in field.nested.items())
    return shape + variant.meaning + (f". Holds {inside}" if inside else "")


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def table(head: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    text = text.replace("|", "\\|")
    return text if "`" in text else text.replace("<", "&lt;").replace("*", "\\*")


#: The parts of each page, by name.
PAGES: dict[str, dict[str, Callable[[], str]]] = {
    CHECKS_PAGE: {"checks": checks},
    KEYS_PAGE: {"keys": redis_keys},
    "docs/reference/catalog.md": {"catalog": declared},
    "docs/reference/commands.md": {"commands": commands},
    "docs/reference/derived-fields.md": {"derived-fields": derived},
    "docs/reference/logs.md": {"logs": log_events},
    "docs/reference/metrics.md": {"metrics": metrics},
    "docs/reference/settings.md": {"settings": settings},
}

#: The files that are generated as a whole.
WHOLE: dict[str, Callable[[], str]] = {
    "config/sanctum.toml": sanctum_toml,
    "config/users.acl": users_acl,
}

#: Every path that has generated text.
PATHS = (*WHOLE, *PAGES)


def generated(path: str) -> str:
    """Return the text that a file has if it is up to date.

    Raises:
        MissingMarker: a page has no markers for one of its parts.
    """
    if path in WHOLE:
        return WHOLE[path]()
    page = (ROOT / path).read_text(encoding="utf-8")
    for name, make in PAGES[path].items():
        page = replaced(page, name, make())
    return page


def replaced(page: str, name: str, text: str) -> str:
    """Return a page with another text in one generated part.

    Raises:
        MissingMarker: the page has no markers for the part.
    """
    opening, closing = f"<!-- generated:{name} -->\n", "\n<!-- /generated -->"
    pattern = re.escape(opening) + ".*?" + re.escape(closing)
    changed, count = re.subn(pattern, lambda _: f"{opening}\n{text}{closing}", page, flags=re.DOTALL)
    if count != 1:
        raise MissingMarker(f"expected one part {opening.strip()} ... {closing.strip()}, found {count}")
    return changed


def is_current(path: str) -> bool:
    """Return whether a file has the text that the code generates."""
    file = ROOT / path
    return file.exists() and file.read_text(encoding="utf-8") == generated(path)


def main(arguments: list[str]) -> int:
    """Write the files, or check them; return the exit status."""
    stale = [path for path in PATHS if not is_current(path)]
    for path in stale:
        if "--check" in arguments:
            print(f"{path} is out of date: run scripts/generate-docs", file=sys.stderr)
        else:
            (ROOT / path).write_text(generated(path), encoding="utf-8")
            print(f"wrote {path}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
