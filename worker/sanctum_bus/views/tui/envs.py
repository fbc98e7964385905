"""The environments: a row each where there is room, else a cell each in several columns."""

import math
from collections.abc import Sequence

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from sanctum_bus.protocol.entry import HISTORY
from sanctum_bus.views.format import count, decimals, printable
from sanctum_bus.views.model import EnvView, SeedView
from sanctum_bus.views.tui.panels import FRAME
from sanctum_bus.views.tui.rows import GAP, Column, fitted, table
from sanctum_bus.views.tui.spark import sparkline
from sanctum_bus.views.tui.style import (
    DIM,
    ENDED_SIGN,
    OTHER_STAGE,
    OTHER_STATUS,
    STAGES,
    STATUSES,
    clip,
    panel,
)

#: Cells that a grid's cell needs at least: label, status, accuracy, sparkline, three seeds.
CELL = 23

#: Width of the table from which the epoch has room.
_NOT_NARROW = 66

#: Width of the table from which words stand where narrower ones have signs, from which rewards have a
#: curve too, and from which the status has its word.
_WIDE, _WIDER, _WIDEST = 96, 108, 136


def table_height(envs: int) -> int:
    """Return the lines that a table of so many environments takes."""
    return envs + 1 + FRAME


def grid_columns(envs: Sequence[EnvView], width: int) -> int:
    """Return how many cells stand side by side."""
    label = max((len(printable(env.label)) for env in envs), default=1)
    return max(1, (width - 4 + 2) // (CELL - 2 + max(2, label) + 2))


def grid_height(envs: Sequence[EnvView], width: int) -> int:
    """Return the lines that a grid of all of them takes."""
    return math.ceil(len(envs) / grid_columns(envs, width)) + FRAME


def env_table(envs: Sequence[EnvView], width: int, height: int | None, title: str) -> Panel:
    """Return a row for each environment."""
    columns = _columns(envs, width - 4)
    rows = (_row(env, columns) for env in envs)
    return panel(title, Group(*table(columns, rows)), height)


def _columns(envs: Sequence[EnvView], inner: int) -> list[Column]:
    wide, wider, widest = inner >= _WIDE, inner >= _WIDER, inner >= _WIDEST
    seeds = max((_seeds(env.seeds, names=wide).cell_len for env in envs), default=0)
    fixed = [
        Column("env", max(3, max((len(printable(env.label)) for env in envs), default=0)), right=True),
        Column("status" if widest else "", 14 if widest else 1),
        Column("epoch", 5 if inner >= _NOT_NARROW else 0, right=True),
        Column("acc.", 5, right=True),
        Column("", 0),
        Column("best", 9),
        Column("reward", 7, right=True),
        Column("", 0),
        Column("last action", 14) if wide else Column("action", 9),
        Column("seeds", min(max(seeds, 5), inner // 3)),
    ]
    sparks = 2 if wider else 1
    used = [column.width for column in fixed if column.width]
    room = inner - sum(used) - GAP * (len(used) - 1 + sparks)
    share = room * 3 // 5 if wider else room
    fixed[4] = Column("", min(share, HISTORY))
    fixed[7] = Column("", min(room - share, HISTORY))
    return fixed


def _row(env: EnvView, columns: Sequence[Column]) -> list[Text]:
    sign, style = STATUSES.get(env.status, OTHER_STATUS)
    best = Text(decimals(env.best_accuracy))
    if env.best_epoch is not None:
        best.append(f" @{count(env.best_epoch)}", style=DIM)
    return [
        Text(printable(env.label), style="bold"),
        Text(f"{sign} {printable(env.status)}" if columns[1].width > 1 else sign, style=style),
        Text(count(env.epoch), style=DIM),
        Text(decimals(env.accuracy), style="bold"),
        Text(sparkline(env.accuracy_history, columns[4].width), style="green"),
        best,
        Text(decimals(env.reward, 2, sign=True)),
        Text(sparkline(env.reward_history, columns[7].width), style="blue"),
        _action(env, wide=columns[8].width > 9),  # noqa: PLR2004  # the narrow column
        _seeds(env.seeds, names=columns[8].width > 9),  # noqa: PLR2004  # the narrow column
    ]


def _action(env: EnvView, *, wide: bool) -> Text:
    text = Text(printable(env.last_action, 9))
    share = env.action_confidence
    if wide and share is not None and math.isfinite(share):
        text.append(f" {share:.0%}", style=DIM)
    return text


def _seeds(seeds: Sequence[SeedView], *, names: bool) -> Text:
    text = Text("")
    for seed in seeds:
        sign, style = STAGES.get(seed.stage, OTHER_STAGE) if seed.stage else ("·", DIM)
        text.append("  " if text and names else "").append(sign, style=style)
        if names and seed.stage:
            text.append(printable(seed.blueprint, 14), style=DIM if sign == ENDED_SIGN else "")
    return text


def env_grid(envs: Sequence[EnvView], width: int, height: int | None, title: str) -> Panel:
    """Return a cell for each environment, column by column."""
    columns = grid_columns(envs, width)
    rows = math.ceil(len(envs) / columns)
    each = (width - 4 + 2) // columns - 2
    lines = []
    for row in range(rows):
        cells = [_cell(env, each) for env in envs[row::rows]]
        lines.append(clip(Text("  ").join(cells), width - 4))
    return panel(title, Group(*lines), height)


def _cell(env: EnvView, width: int) -> Text:
    sign, style = STATUSES.get(env.status, OTHER_STATUS)
    seeds = _seeds(env.seeds, names=False)
    text = Text(f"{printable(env.label):>2} ", style="bold").append(f"{sign} ", style=style)
    text.append(f"{decimals(env.accuracy):>5} ")
    room = max(4, width - text.cell_len - max(3, seeds.cell_len) - 1)
    curve = sparkline(env.accuracy_history, room)
    text.append(f"{curve:<{room}} ", style="green").append_text(seeds)
    return fitted(text, width)
