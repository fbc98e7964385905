"""The framed parts of the screen except the environments: training, policy, seeds, blueprints, best episodes, log."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from sanctum_bus.protocol.entry import HISTORY
from sanctum_bus.reader import LogLine
from sanctum_bus.views.derived import as_float
from sanctum_bus.views.format import UNKNOWN, clock, count, decimals, label, plain_number, printable
from sanctum_bus.views.model import (
    ArmView,
    BatchView,
    BestEpisode,
    BlueprintView,
    Metric,
    PolicyView,
    RunView,
)
from sanctum_bus.views.tui.rows import GAP, Column, fitted, table
from sanctum_bus.views.tui.spark import chart, limits, sparkline
from sanctum_bus.views.tui.style import DIM, OTHER_STAGE, STAGES, clip, line_style, panel

#: Width from which two metrics fit side by side.
_TWO_METRICS = 54

#: Width of the blueprints' panel from which the mean improvement fits.
_FIVE_COLUMNS = 40

#: Width of the log from which the episode fits.
_WITH_EPISODE = 64

#: Rows of a frame that are not content.
FRAME = 2


def training(arm: ArmView, width: int, height: int) -> Panel:
    """Return the accuracy over time and the results of the last batch."""
    inner, rows = width - 4, height - FRAME
    lines = [_accuracy_now(arm, inner)]
    facts = _batch_facts(arm.batch, inner)
    # The chart needs two lines at least.
    shown = facts[: 1 if rows <= 4 else 2]  # noqa: PLR2004
    lines += _axis_chart(arm.accuracy.history, inner, rows - 1 - len(shown))
    return panel("Training", Group(*(clip(line, inner) for line in [*lines, *shown])), height)


def _accuracy_now(arm: ArmView, width: int) -> Text:
    wide = width >= _TWO_METRICS
    text = Text("mean acc. " if wide else "acc. ", style=DIM)
    text.append(decimals(arm.accuracy.mean), style="bold bright_green")
    text.append("   rolling ", style=DIM).append(decimals(arm.accuracy.rolling))
    for first in arm.best[:1]:
        text.append("   best ", style=DIM).append(decimals(first.peak_accuracy), style="bold")
        where = f" env {plain_number(first.env_id)} · ep. {plain_number(first.episode)}"
        text.append(where if wide else "", style=DIM)
    return text


def _axis_chart(values: Sequence[float], width: int, height: int) -> list[Text]:
    span = limits(values)
    labels = {0: decimals(span[1]), height - 1: decimals(span[0])} if span and span[0] != span[1] else {}
    if span and span[0] == span[1]:
        labels = {height - 1: decimals(span[0])}
    edge = max((len(text) for text in labels.values()), default=0)
    lines = []
    # Each value gets the columns that it has in a full history, so that the chart never jumps.
    wide = [value for value in values for _ in range(max(1, (width - edge - 1) // HISTORY))]
    for row, blocks in enumerate(chart(wide, width - edge - 1, height)):
        lines.append(Text(f"{labels.get(row, ''):>{edge}} ", style=DIM).append(blocks, style="green"))
    return lines


def _batch_facts(batch: BatchView, width: int) -> list[Text]:
    if batch.index is None and batch.accuracy.value is None:
        return [Text("no batch yet", style=DIM)]
    first = Text("batch ", style=DIM).append(plain_number(batch.index))
    curve = 6 if width >= _TWO_METRICS else 0
    for one in (batch.accuracy, batch.reward):
        first.append(f"   {one.label} ", style=DIM)
        first.append(decimals(one.value, one.digits, sign=one.digits > 1))
        history = sparkline(one.history, curve)
        first.append(f" {history}" if history else "", style="green")
    second = Text("loss train ", style=DIM).append(decimals(batch.train_loss, 3))
    second.append(" val ", style=DIM).append(decimals(batch.val_loss, 3))
    second.append("   train acc. ", style=DIM).append(decimals(batch.train_accuracy))
    return [first, second]


def policy(arm: ArmView, width: int, height: int) -> Panel:
    """Return the last update of the policy, each metric with its history."""
    update = arm.policy
    of_arm = f" of {label(arm.name)}" if arm.name else ""
    if not update.metrics:
        return panel(f"Policy{of_arm}", Text("no update yet", style=DIM), height)
    inner, rows = width - 4, height - FRAME
    columns = 2 if inner >= _TWO_METRICS else 1
    shown = update.metrics[: min(rows, 4) * columns] if columns > 1 else update.metrics[:rows]
    each = (inner - 2 * (columns - 1)) // columns
    body: list[RenderableType] = [
        clip(Text("  ").join(_metric(one, each) for one in shown[at : at + columns]), inner)
        for at in range(0, len(shown), columns)
    ]
    body += [clip(line, inner) for line in (_steps(update), *_heads(update, inner))][: rows - len(body)]
    return panel(f"Policy{of_arm} · update {count(update.updates)}", Group(*body), height)


def _metric(metric: Metric, width: int) -> Text:
    text = Text(f"{metric.label:<12}", style=DIM).append(f"{decimals(metric.value, metric.digits):>8} ")
    text.append(sparkline(metric.history, width - 21), style="bright_blue")
    return fitted(text, width)


def _heads(update: PolicyView, width: int) -> list[Text]:
    lines = [Text("head entropy ", style=DIM)]
    for name, value in update.head_entropies.items():
        part = Text(f" {name} ", style=DIM).append(decimals(value, 2), style="not dim default")
        if lines[-1].cell_len + part.cell_len > width:
            lines.append(Text(" " * 13))
        lines[-1].append_text(part)
    return lines


def _steps(update: PolicyView) -> Text:
    text = Text("lr ", style=DIM).append(decimals(update.lr, 3))
    for value, shown in ((update.early_stops, "early stops"), (update.rollbacks, "rollbacks")):
        text.append(f"   {shown} ", style=DIM).append(count(value), style="bold yellow" if value else "")
    if update.entropy_collapsed:
        text.append("   entropy collapsed", style="bold red")
    return text


def seeds(run: RunView, width: int, height: int | None) -> Panel:
    """Return the number of seeds in each stage now."""
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
    live = sum(arm.active_seeds for arm in run.arms)
    title = f"Seeds by stage · {live} live" if stages else "Seeds by stage"
    return panel(title, Group(*lines) if lines else Text("no seed yet", style=DIM), height)


def blueprints(run: RunView, width: int, height: int | None) -> Panel:
    """Return how the seeds of each blueprint ended."""
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


def _blueprint(one: BlueprintView) -> list[Text]:
    counts = [Text(count(value)) for value in (one.germinated, one.fossilized, one.culled)]
    return [Text(printable(one.name, 40)), *counts, Text(decimals(one.mean_improvement, sign=True))]


def best(arm: ArmView, width: int, height: int | None) -> Panel:
    """Return the leaderboard of episodes."""
    places = 10 if height is None else max(1, min(10, height - FRAME - 1))
    rows = [_record(one) for one in arm.best if one.place <= places]
    widths = [max([least, *(row[at].cell_len for row in rows)]) for at, least in enumerate((2, 5, 4, 7, 7))]
    if sum(widths) + GAP * (len(widths) - 1) > width - 4:
        # The episode matters more than the growth.
        widths[-1] = 0
    heads = ("", "peak", "env", "episode", "params")
    columns = [Column(head, wide, right=True) for head, wide in zip(heads, widths, strict=True)]
    body = Group(*table(columns, rows)) if rows else Text("no batch yet", style=DIM)
    return panel("Best episodes", body, height)


def _record(one: BestEpisode) -> list[Text]:
    return [
        Text(str(one.place), style=DIM),
        Text(decimals(one.peak_accuracy), style="bold"),
        Text(plain_number(one.env_id)),
        Text(plain_number(one.episode)),
        Text(UNKNOWN if one.growth_ratio is None else f"x{decimals(one.growth_ratio, 2)}", style=DIM),
    ]


def log(lines: Sequence[LogLine], width: int, height: int | None) -> Panel:
    """Return the newest lines of the seed event log, the newest last."""
    shown = lines if height is None else lines[-max(0, height - FRAME) :] if height > FRAME else ()
    body = Group(*(clip(log_line(line, wide=width >= _WITH_EPISODE), width - 4) for line in shown))
    return panel("Seed event log", body if shown else Text("nothing yet", style=DIM), height)


def log_line(line: LogLine, *, wide: bool = True) -> Text:
    """Return one line of the seed event log."""
    text = Text(f"{clock(line.at)} ", style=DIM)
    where = f"env {plain_number(line.env_id)}" if as_float(line.env_id) is not None else ""
    text.append(f"{where:<6} ")
    if wide:
        episode = f"ep {plain_number(line.episode)}" if _is_known(line.episode) else ""
        text.append(f"{episode:<6} ", style=DIM)
    return text.append(printable(line.message, 300), style=line_style(line.type))


def _is_known(value: object) -> bool:
    found = as_float(value)
    return found is not None and math.isfinite(found)
