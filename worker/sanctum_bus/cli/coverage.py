"""`coverage`: which fields of which event types were seen, whether they were kept, and where."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any

import typer
from rich.text import Text

from sanctum_bus.cli import target
from sanctum_bus.cli.inputs import Inputs
from sanctum_bus.cli.options import (
    JsonOption,
)
from sanctum_bus.cli.output import Row, complain, print_json, show, table
from sanctum_bus.cli.target import ServerTarget
from sanctum_bus.events import catalog
from sanctum_bus.events.names import FIELD_ALIASES, canonical_type
from sanctum_bus.events.recordings import Record
from sanctum_bus.fold import offline
from sanctum_bus.protocol.coverage import FieldCoverage, TypeCoverage, report
from sanctum_bus.views.format import count, printable

#: Examples at the end of the help.
EXAMPLES = ("sanctum coverage my-run --fields", "sanctum coverage --file events.jsonl.gz")


def command(
    ctx: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", show_default=False, help="The run.")] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            metavar="FILE",
            show_default=False,
            help="A recording instead of a run. Repeatable.",
        ),
    ] = None,
    fields: Annotated[
        bool,
        typer.Option("--fields", help="List each field: count, emitted names, and where it is kept."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which emitted fields were seen and where they are kept."""
    if (run is None) == (not file):
        raise typer.BadParameter("give either a run or --file")
    types = of_files(file) if file else of_run(target.of(ctx), run or "")
    print_coverage(run or ", ".join(file or ()), types, fields=fields, as_json=as_json)


#: Mark of an undeclared field; undeclared fields are kept too.
UNDECLARED = "*"


class RawCount:
    """Counts the fields of recorded lines directly, without the code that captures them."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.fields: Counter[tuple[str, str]] = Counter()
        self._starts: set[str] = set()

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield records unchanged, and count each."""
        for record in records:
            self._count(record.event or {})
            yield record

    def _count(self, event: dict[str, Any]) -> None:
        emitted, event_id = event.get("event_type", event.get("type")), event.get("event_id")
        if emitted == "TRAINING_STARTED" and isinstance(event_id, str):
            if event_id in self._starts:
                # A TRAINING_STARTED that was sent twice is folded once.
                return
            self._starts.add(event_id)
        data = event.get("data")
        self.events[str(emitted)] += 1
        self.fields.update((str(emitted), name) for name in (data if isinstance(data, dict) else ()))


def compared(types: Sequence[TypeCoverage], raw: RawCount) -> list[TypeCoverage]:
    """Return the coverage, with fields that are missing against the raw lines counted as gaps."""
    found = {one.type: one for one in types}
    for emitted, events in raw.events.items():
        one = found.setdefault(canonical_type(emitted), TypeCoverage(canonical_type(emitted)))
        one.events = max(
            one.events, sum(raw.events[name] for name in raw.events if canonical_type(name) == one.type)
        )
        del events
    for (emitted, name), times in raw.fields.items():
        one = found[canonical_type(emitted)]
        canonical = FIELD_ALIASES.get(one.type, {}).get(name, name)
        field = one.fields.setdefault(canonical, FieldCoverage(canonical))
        missing = times - _reported(one.type, field, (emitted, name))
        if missing > 0:
            field.seen += missing
            field.gap += missing
    return sorted(found.values(), key=lambda one: one.type)


def _reported(event_type: str, field: FieldCoverage, spelling: tuple[str, str]) -> int:
    if spelling == (event_type, field.name):
        return field.seen - sum(field.spellings.values())
    return field.spellings.get(spelling, 0)


def of_run(server: ServerTarget, run_id: str) -> list[TypeCoverage]:
    """Return the coverage that a run's worker counted."""
    with server.reader() as reader:
        return reader.coverage(run_id)


def of_files(files: list[str]) -> list[TypeCoverage]:
    """Return the coverage of folded recordings, checked against a count of the raw lines.

    Raises:
        InvalidArgument: a file cannot be read.
    """
    raw = RawCount()
    aggregate = offline.fold_records(raw.watch(Inputs(files)))
    for parked in aggregate.drain_changes().parked:
        complain(f"event {parked.entry_id.partition('-')[2]} cannot be folded: {parked.reason}")
    return compared(report(aggregate.coverage.counts), raw)


def print_coverage(name: str, types: Sequence[TypeCoverage], *, fields: bool, as_json: bool) -> None:
    """Print a table of types, or of their fields, or JSON for tools."""
    if as_json:
        print_json({"run_id": name, "total": _totals(types), "types": [_as_json(one) for one in types]})
        return
    show(_field_table(types) if fields else _type_table(types))
    if fields and any(not _is_declared(one, field.name) for one in types for field in one.fields.values()):
        show(Text(f"\n{UNDECLARED} captured, undeclared", style="bright_black"))


def _totals(types: Sequence[TypeCoverage]) -> dict[str, int]:
    names = ("events", "emitted", "captured", "gap")
    return {name: sum(getattr(one, name) for one in types) for name in names}


def _type_table(types: Sequence[TypeCoverage]) -> Any:
    rows: list[Row] = [
        [one.type, *map(count, (one.emitted, one.captured)), _gap(one.gap), count(one.events)]
        for one in types
    ]
    total = _totals(types)
    rows.append(
        [
            Text("total", style="bold"),
            *(Text(count(total[name]), style="bold") for name in ("emitted", "captured")),
            _gap(total["gap"]),
            Text(count(total["events"]), style="bold"),
        ]
    )
    return table(("event type", ">fields emitted", ">captured", ">gap", ">events"), rows)


def _gap(gap: int) -> Text:
    return Text(count(gap), style="bold red" if gap else "bold green")


def _field_table(types: Sequence[TypeCoverage]) -> Any:
    rows: list[Row] = []
    for one in types:
        rows.append(
            [Text(printable(one.type), style="bold"), Text(count(one.events), style="bold"), "", "", "", ""]
        )
        for field in sorted(one.fields.values(), key=lambda field: field.name):
            declared = catalog.lookup(one.type, field.name)
            mark = "" if declared else UNDECLARED
            rows.append(
                [
                    Text(f"  {printable(field.name)}{mark}"),
                    count(field.seen),
                    _gap(field.gap) if field.gap else "",
                    _spelled(one.type, field),
                    kept(one.type, field.name),
                    declared.unit if declared else "",
                ]
            )
    return table(("event type and field", ">seen", ">gap", "emitted as", "kept in", "unit"), rows)


def _spelled(event_type: str, field: FieldCoverage) -> str:
    shown = [
        (name if emitted == event_type else f"{emitted}.{name}") + f" x{times:,}"
        for (emitted, name), times in sorted(field.spellings.items())
    ]
    return ", ".join(shown)


def _as_json(one: TypeCoverage) -> dict[str, Any]:
    fields = [
        {
            "name": field.name,
            "seen": field.seen,
            "gap": field.gap,
            "spellings": [
                {"type": emitted, "field": name, "seen": times}
                for (emitted, name), times in sorted(field.spellings.items())
            ],
            "kept": kept(one.type, field.name),
            "unit": declared.unit if (declared := catalog.lookup(one.type, field.name)) else None,
            "declared": declared is not None,
        }
        for field in sorted(one.fields.values(), key=lambda field: field.name)
    ]
    numbers = {name: getattr(one, name) for name in ("events", "emitted", "captured", "gap")}
    return {"type": one.type, **numbers, "fields": fields}


def kept(event_type: str, field: str) -> str:
    """Return where the fold keeps a field: the declared place, or the place of undeclared fields of its type."""
    declared = catalog.lookup(event_type, field)
    return declared.kept if declared else _place_of(event_type) + field


@cache
def _place_of(event_type: str) -> str:
    """Return the prefix of the stored names of a type's undeclared fields: the most frequent one of its declared fields."""
    fronts = Counter(
        declared.kept.partition("; ")[0].removesuffix(declared.field)
        for (declared_type, _), declared in catalog.declared().items()
        if declared_type == event_type and declared.kept.partition("; ")[0].endswith(declared.field)
    )
    return fronts.most_common(1)[0][0] if fronts else f"event:{event_type} "


def _is_declared(one: TypeCoverage, field: str) -> bool:
    return catalog.lookup(one.type, field) is not None
