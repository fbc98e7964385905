"""Tables of figures for the terminal and for the documentation."""

from collections.abc import Iterable, Sequence

from bench.results import Figure, Results, Stage

_VERDICT = {True: "met", False: "missed", None: ""}

#: Rows of the summary: description, name of the figure, and label of one of its parts, or "" for the figure itself.
_SUMMARY = (
    ("one call of `emit`, median", "emit_median", "Sanctum"),
    ("one call of `emit`, p99", "emit_p99", "Sanctum"),
    ("one call of `emit` while Redis is down, median", "emit_down_median", "Sanctum"),
    ("`emit` to snapshot, median", "visible_median", "Sanctum"),
    ("`emit` to snapshot, p99", "visible_p99", "Sanctum"),
    ("drain rate of one worker, one run", "drain", "Sanctum"),
    ("drain rate of one worker, 200 runs", "many_runs", "200 runs"),
    ("drain rate of two workers, 50 runs", "two_workers", "two"),
    ("memory of a worker without runs", "memory_base", ""),
    ("memory of a worker per run of 64 envs x 6 slots", "memory_run", ""),
    ("`kill -9` to the first commit of the next owner, after the lease (4 s)", "takeover", ""),
    ("read of all sections of a run of 64 envs", "reads_since", "full"),
    ("read of the changes of one commit", "reads_since", "changes"),
    ("drain rate with 200 followers, compared with none", "followers", ""),
    ("largest delay of 200 followers", "followers_behind", ""),
)


def number(value: float) -> str:
    """Format a number with three significant digits."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'>=' if figure.better == 'higher' else '<='} {number(figure.goal)}"


def rows(figures: Iterable[Figure]) -> list[list[str]]:
    """Return a header and one row per figure: title, median, range, goal, result and measured values."""
    found = [["figure", "median", "range", "goal", "result", "measured values"]]
    for one in figures:
        unit = "x" if one.is_ratio else f" {one.unit}"
        spread = f"{number(min(one.samples))} .. {number(max(one.samples))}"
        parts = ", ".join(f"{part.label} {number(part.median)} {part.unit}" for part in one.parts)
        found.append(
            [one.title, f"{number(one.median)}{unit}", spread, _goal(one), _VERDICT[one.is_met], parts]
        )
    return found


def summary(figures: Iterable[Figure]) -> list[list[str]]:
    """Return a header and the main absolute values; figures that were not measured are left out."""
    measured = {one.name: one for one in figures}
    found = [["figure", "value"]]
    for description, name, label in _SUMMARY:
        if name in measured:
            one = measured[name]
            value, unit = next(
                ((part.median, part.unit) for part in one.parts if part.label == label),
                (one.median, one.unit),
            )
            found.append([description, f"{number(value)}{unit if unit == 'x' else f' {unit}'}"])
    return found


def stages(profile: Iterable[Stage]) -> list[list[str]]:
    """Return a header and one row per stage."""
    return [
        ["process", "stage", "us/event"],
        *([one.process, one.name, f"{one.micros:.2f}"] for one in profile),
    ]


def text(table: Sequence[Sequence[str]]) -> str:
    """Return a table as aligned text."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    header, *body = table
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def report(results: Results) -> str:
    """Return the full report for the terminal."""
    parts = [text(rows(results.figures))] if results.figures else []
    if results.profile:
        parts.append(text(stages(results.profile)))
    parts += [f"skipped: {name}: {why}" for name, why in results.skipped.items()]
    return "\n\n".join(parts)
