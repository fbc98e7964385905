"""The framed parts of the view but the environments: training, policy, seeds, blueprints, best episodes, log."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from sanctum_bus.protocol.entry import HISTORY, FieldsView
from sanctum_bus.views.format import (
    UNKNOWN,
    clock,
    count,
    decimals,
    label,
    number,
    numbers,
    plain_number,
    printable,
)
from sanctum_bus.views.model import Blueprint, Run
from sanctum_bus.views.tui.rows import GAP, Column, fitted, table
from sanctum_bus.views.tui.spark import chart, limits, sparkline
from sanctum_bus.views.tui.style import DIM, OTHER_STAGE, STAGES, clip, line_style, panel
from sanctum_bus.views.tui.view import Line, View

#: Metrics of the policy: field, what it is called here, decimals; the first ones stay where there is little room.
METRICS = (
    ("entropy", "entropy", 3),
    ("kl_divergence", "KL", 4),
    ("explained_variance", "expl. var.", 3),
    ("grad_norm", "grad norm", 2),
    ("policy_loss", "policy loss", 3),
    ("value_loss", "value loss", 3),
    ("clip_fraction", "clip frac.", 3),
    ("update_time_ms", "update ms", 1),
)

#: Width from which two metrics stand side by side.
_TWO_METRICS = 54

#: Width of the blueprints' panel from which the mean improvement has room.
_FIVE_COLUMNS = 40

#: Rows of a frame that are not content.
FRAME = 2


def training(view: View, width: int, height: int) -> Panel:
    """Return the accuracy over time and what the last batch came to."""
    run = view.run.section("run", view.arm) or view.run.section("run")
    inner, rows = width - 4, height - FRAME
    history = numbers(run.get("mean_accuracy_history"))
    lines = [_accuracy_now(view, run, inner)]
    facts = _batch_facts(view.run.section("batch", view.arm), inner)
    shown = facts[: 1 if rows <= 4 else 2]  # noqa: PLR2004  # the chart needs two lines at least
    lines += _axis_chart(history, inner, rows - 1 - len(shown))
    return panel("Training", Group(*(clip(line, inner) for line in [*lines, *shown])), height)


def _accuracy_now(view: View, run: FieldsView, width: int) -> Text:
    wide = width >= _TWO_METRICS
    batch, first = view.run.section("batch", view.arm), view.run.section("best", view.arm).get("1")
    text = Text("mean acc. " if wide else "acc. ", style=DIM)
    text.append(decimals(run.get("mean_accuracy")), style="bold bright_green")
    text.append("   rolling ", style=DIM).append(decimals(batch.get("rolling_accuracy")))
    if isinstance(first, dict):
        text.append("   best ", style=DIM).append(decimals(first.get("peak_accuracy")), style="bold")
        where = f" env {plain_number(first.get('env_id'))} · ep. {plain_number(first.get('episode'))}"
        text.append(where if wide else "", style=DIM)
    return text


def _axis_chart(values: Sequence[float], width: int, height: int) -> list[Text]:
    span = limits(values)
    labels = {0: decimals(span[1]), height - 1: decimals(span[0])} if span and span[0] != span[1] else {}
    if span and span[0] == span[1]:
        labels = {height - 1: decimals(span[0])}
    edge = max((len(text) for text in labels.values()), default=0)
    lines = []
    # As many columns a value as there would be room for with a full history, so that the picture never jumps.
    wide = [value for value in values for _ in range(max(1, (width - edge - 1) // HISTORY))]
    for row, blocks in enumerate(chart(wide, width - edge - 1, height)):
        lines.append(Text(f"{labels.get(row, ''):>{edge}} ", style=DIM).append(blocks, style="green"))
    return lines


def _batch_facts(batch: FieldsView, width: int) -> list[Text]:
    if not batch:
        return [Text("no batch yet", style=DIM)]
    first = Text("batch ", style=DIM).append(plain_number(batch.get("batch_idx")))
    curve = 6 if width >= _TWO_METRICS else 0
    for name, shown, digits in (("avg_accuracy", "acc.", 1), ("avg_reward", "reward", 2)):
        first.append(f"   {shown} ", style=DIM).append(decimals(batch.get(name), digits, sign=digits > 1))
        history = sparkline(numbers(batch.get(f"{name}_history")), curve)
        first.append(f" {history}" if history else "", style="green")
    second = Text("loss", style=DIM)
    for name in ("train_loss", "val_loss"):
        second.append(f" {name.partition('_')[0]} ", style=DIM).append(decimals(batch.get(name), 3))
    second.append("   train acc. ", style=DIM).append(decimals(batch.get("train_accuracy")))
    return [first, second]


def policy(view: View, width: int, height: int) -> Panel:
    """Return the last policy update, each metric with its history."""
    fields = view.run.section("policy", view.arm)
    arm = f" of {label(view.arm)}" if view.arm else ""
    if not fields:
        return panel(f"Policy{arm}", Text("no update yet", style=DIM), height)
    inner, rows = width - 4, height - FRAME
    columns = 2 if inner >= _TWO_METRICS else 1
    shown = METRICS[: min(rows, 4) * columns]
    if columns == 1:
        shown = METRICS[:rows]
    each = (inner - 2 * (columns - 1)) // columns
    body: list[RenderableType] = [
        clip(Text("  ").join(_metric(fields, one, each) for one in shown[at : at + columns]), inner)
        for at in range(0, len(shown), columns)
    ]
    body += [clip(line, inner) for line in (_steps(fields), *_heads(fields, inner))][: rows - len(body)]
    return panel(f"Policy{arm} · update {count(fields.get('updates'))}", Group(*body), height)


def _metric(fields: FieldsView, metric: tuple[str, str, int], width: int) -> Text:
    name, shown, digits = metric
    text = Text(f"{shown:<12}", style=DIM).append(f"{decimals(fields.get(name), digits):>8} ")
    text.append(sparkline(numbers(fields.get(f"{name}_history")), width - 21), style="bright_blue")
    return fitted(text, width)


def _heads(fields: FieldsView, width: int) -> list[Text]:
    lines = [Text("head entropy ", style=DIM)]
    for name in ("slot", "blueprint", "op", "style", "blend", "tempo"):
        value = fields.get(f"head_{name}_entropy")
        if number(value) is not None:
            part = Text(f" {name} ", style=DIM).append(decimals(value, 2), style="not dim default")
            if lines[-1].cell_len + part.cell_len > width:
                lines.append(Text(" " * 13))
            lines[-1].append_text(part)
    return lines


def _steps(fields: FieldsView) -> Text:
    text = Text("lr ", style=DIM).append(decimals(fields.get("lr"), 3))
    for name, shown in (("early_stops", "early stops"), ("rollbacks", "rollbacks")):
        value = number(fields.get(name))
        text.append(f"   {shown} ", style=DIM).append(count(value), style="bold yellow" if value else "")
    if fields.get("entropy_collapsed") is True:
        text.append("   entropy collapsed", style="bold red")
    return text


def seeds(run: Run, width: int, height: int | None) -> Panel:
    """Return how many seeds are in which stage now."""
    stages = list(run.stages.items())
    if height is not None:
        stages = stages[: height - FRAME]
    longest = max((len(printable(stage, 14)) for stage, _ in stages), default=0)
    most = max((amount for _, amount in stages), default=1)
    room = max(1, width - longest - 11)
    lines = []
    for stage, amount in stages:
        sign, style = STAGES.get(stage, OTHER_STAGE)
        line = Text(f"{sign} {printable(stage, 14):<{longest}} ", style=style).append(
            f"{amount:>3} ", style="bold"
        )
        lines.append(line.append("━" * max(1, round(room * amount / most)), style=style))
    return panel("Seeds by stage", Group(*lines) if lines else Text("no seed yet", style=DIM), height)


def blueprints(run: Run, width: int, height: int | None) -> Panel:
    """Return what became of each blueprint's seeds."""
    columns = [
        Column("blueprint", max(9, width - 4 - (28 if width >= _FIVE_COLUMNS else 19))),
        Column("germ.", 5, right=True),
        Column("foss.", 5, right=True),
        Column("culled", 6, right=True),
        Column("improved", 8 if width >= _FIVE_COLUMNS else 0, right=True),
    ]
    shown = run.blueprints[: None if height is None else max(0, height - FRAME - 1)]
    body = Group(*table(columns, map(_blueprint, shown), gap=1))
    return panel("Blueprints", body if run.blueprints else Text("no seed yet", style=DIM), height)


def _blueprint(one: Blueprint) -> list[Text]:
    counts = [Text(count(one.fields.get(name))) for name in ("germinated", "fossilized", "culled")]
    return [Text(printable(one.name, 40)), *counts, Text(_mean_improvement(one.fields))]


def _mean_improvement(fields: FieldsView) -> str:
    ended = sum(number(fields.get(name)) or 0.0 for name in ("fossilized", "culled"))
    total = number(fields.get("improvement_sum"))
    return decimals(total / ended, sign=True) if total is not None and ended > 0 else UNKNOWN


def best(view: View, width: int, height: int | None) -> Panel:
    """Return the leaderboard of episodes."""
    records = view.run.section("best", view.arm)
    places = range(1, 11 if height is None else max(1, min(10, height - FRAME - 1)) + 1)
    rows = [_record(place, record) for place in places if isinstance(record := records.get(str(place)), dict)]
    widths = [max([least, *(row[at].cell_len for row in rows)]) for at, least in enumerate((2, 5, 4, 7, 7))]
    if sum(widths) + GAP * (len(widths) - 1) > width - 4:
        # Which episode it was says more than how much it grew.
        widths[-1] = 0
    heads = ("", "peak", "env", "episode", "params")
    columns = [Column(head, wide, right=True) for head, wide in zip(heads, widths, strict=True)]
    body = Group(*table(columns, rows)) if rows else Text("no batch yet", style=DIM)
    return panel("Best episodes", body, height)


def _record(place: int, record: FieldsView) -> list[Text]:
    growth = number(record.get("growth_ratio"))
    return [
        Text(str(place), style=DIM),
        Text(decimals(record.get("peak_accuracy")), style="bold"),
        Text(plain_number(record.get("env_id"))),
        Text(plain_number(record.get("episode"))),
        Text(UNKNOWN if growth is None else f"x{decimals(growth, 2)}", style=DIM),
    ]


def log(lines: Sequence[Line], width: int, height: int | None) -> Panel:
    """Return the newest lines of the seed event log, the newest last."""
    shown = lines if height is None else lines[-max(0, height - FRAME) :] if height > FRAME else ()
    body = Group(*(clip(log_line(line, wide=width >= 64), width - 4) for line in shown))  # noqa: PLR2004
    return panel("Seed event log", body if shown else Text("nothing yet", style=DIM), height)


def log_line(line: Line, *, wide: bool = True) -> Text:
    """Return one line of the seed event log."""
    text = Text(f"{clock(line.at)} ", style=DIM)
    where = f"env {plain_number(line.env_id)}" if number(line.env_id) is not None else ""
    text.append(f"{where:<6} ")
    if wide:
        episode = f"ep {plain_number(line.episode)}" if _is_known(line.episode) else ""
        text.append(f"{episode:<6} ", style=DIM)
    return text.append(printable(line.message, 300), style=line_style(line.type))


def _is_known(value: object) -> bool:
    found = number(value)
    return found is not None and math.isfinite(found)
