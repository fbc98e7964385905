"""Figures as tables, for the terminal and for the documentation."""

from collections.abc import Iterable, Sequence

from bench.results import Figure, Results, Stage

_VERDICT = {True: "met", False: "missed", None: ""}


def number(value: float) -> str:
    """Return a number with three digits that count."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'>=' if figure.better == 'higher' else '<='} {number(figure.goal)}"


def rows(figures: Iterable[Figure]) -> list[list[str]]:
    """Return one row for each figure: title, median, spread, goal, verdict and parts, the header first."""
    found = [["figure", "median", "spread", "goal", "", "of"]]
    for one in figures:
        unit = "x" if one.is_ratio else f" {one.unit}"
        spread = f"{number(min(one.samples))} .. {number(max(one.samples))}"
        parts = ", ".join(f"{part.label} {number(part.median)} {part.unit}" for part in one.parts)
        found.append(
            [one.title, f"{number(one.median)}{unit}", spread, _goal(one), _VERDICT[one.is_met], parts]
        )
    return found


def stages(profile: Iterable[Stage]) -> list[list[str]]:
    """Return one row for each stage, the header first."""
    return [
        ["process", "stage", "us/event"],
        *([one.process, one.name, f"{one.micros:.2f}"] for one in profile),
    ]


def text(table: Sequence[Sequence[str]]) -> str:
    """Return a table in columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Return a table as the documentation shows it."""
    header, *body = table
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def report(results: Results) -> str:
    """Return everything for the terminal."""
    parts = [text(rows(results.figures))] if results.figures else []
    if results.profile:
        parts.append(text(stages(results.profile)))
    parts += [f"skipped: {name}: {why}" for name, why in results.skipped.items()]
    return "\n\n".join(parts)
