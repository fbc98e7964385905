"""The whole view: what goes where, in a terminal of any size, or as long as it needs to be."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table

from sanctum_bus.views.model import EnvView
from sanctum_bus.views.tui.envs import env_grid, env_table, grid_columns, grid_height, table_height
from sanctum_bus.views.tui.header import footer, header
from sanctum_bus.views.tui.panels import FRAME, best, blueprints, log, policy, seeds, training
from sanctum_bus.views.tui.screen import Screen
from sanctum_bus.views.tui.style import STATUSES

#: Lines of the header and the footer.
_HEAD, _FOOT = 2, 1

#: Log lines where the view may be as long as it needs to be.
_TAIL = 12

#: Width from which the view has room beside the log for two columns.
_WIDE = 100


class _Heights(NamedTuple):
    top: int
    envs: int
    bottom: int
    grid: bool


#: Heights of the upper panels and least height of the lower ones, from roomy to narrow.
_SIZES = ((9, 11), (9, 8), (6, 7), (6, 5), (0, 5), (0, 0))


def draw(shown: Screen, width: int, height: int | None = None, keys: str = "") -> Group:
    """Return the picture of one moment.

    Args:
        shown: the moment.
        width: columns of the terminal.
        height: lines of the terminal; None: as many as it takes to show all.
        keys: what the keys do, for the last line.
    """
    parts: list[RenderableType] = [header(shown, width)]
    sizes = _heights(shown.run.envs, width, height)
    if sizes.top:
        left = width // 2
        parts.append(
            _beside(
                (training(shown.selected, left, sizes.top), left),
                (policy(shown.selected, width - left, sizes.top), width - left),
            )
        )
    if sizes.envs > FRAME:
        parts.append(_environments(shown, width, sizes))
    if height is None or sizes.bottom > FRAME:
        parts.append(_bottom(shown, width, None if height is None else sizes.bottom))
    parts.append(footer(shown, width, keys))
    return Group(*parts)


def _heights(envs: Sequence[EnvView], width: int, height: int | None) -> _Heights:
    table, grid = table_height(len(envs)), grid_height(envs, width)
    if height is None:
        return _Heights(9, table, 0, grid=False)
    room = height - _HEAD - _FOOT
    # All environments in rows, then all in cells, then as many cells as fit: pages take care of the rest.
    for sizes in (_SIZES[:4], _SIZES[4:]):
        for wanted, as_grid in ((table, False), (grid, True)):
            for top, bottom in sizes:
                if wanted + top + bottom <= room:
                    return _Heights(top, wanted, room - top - wanted, as_grid)
    for top, bottom in _SIZES[2:]:
        if room - top - bottom >= FRAME + 4:
            return _Heights(top, room - top - bottom, bottom, grid=True)
    return _Heights(0, room, 0, grid=True)


def pages(envs: Sequence[EnvView], width: int, height: int) -> int:
    """Return over how many pages the environments are spread in a terminal."""
    sizes = _heights(envs, width, height)
    return -(-len(envs) // _on_a_page(envs, width, sizes)) if sizes.grid and envs else 1


def _on_a_page(envs: Sequence[EnvView], width: int, sizes: _Heights) -> int:
    return max(1, grid_columns(envs, width) * (sizes.envs - FRAME))


def _environments(shown: Screen, width: int, sizes: _Heights) -> Panel:
    envs = shown.run.envs
    title = _title(envs)
    if not sizes.grid:
        return env_table(envs, width, sizes.envs, title)
    size = _on_a_page(envs, width, sizes)
    last = max(1, -(-len(envs) // size))
    page = shown.page % last
    if last > 1:
        title += f" · page {page + 1} of {last}"
    return env_grid(envs[page * size : (page + 1) * size], width, sizes.envs, title)


def _title(envs: Sequence[EnvView]) -> str:
    counts = Counter(env.status for env in envs)
    shown = [f"{sign} {counts[status]} {status}" for status, (sign, _) in STATUSES.items() if counts[status]]
    return " · ".join(["1 environment" if len(envs) == 1 else f"{len(envs):,} environments", *shown])


def _bottom(shown: Screen, width: int, height: int | None) -> RenderableType:
    side = 42 if width >= _WIDE else width * 2 // 5
    run = shown.run
    stages = max(1, len(run.stages)) + FRAME
    plants = max(1, len(run.blueprints)) + FRAME + 1
    left: list[tuple[Callable[[int | None], Panel], int]] = [
        (lambda lines: seeds(run, side, lines), stages),
        (lambda lines: blueprints(run, side, lines), plants),
        (lambda lines: best(shown.selected, side, lines), 11 + FRAME),
    ]
    if height is None:
        whole = Group(*(part(None) for part, _ in left))
        return _beside((whole, side), (log(run.log[-_TAIL:], width - side, None), width - side))
    return _beside((_stack(left, height), side), (log(run.log, width - side, height), width - side))


def _stack(parts: Sequence[tuple[Callable[[int | None], Panel], int]], height: int) -> Group:
    """Return the parts that fit under one another, each as high as it wants, the last one as high as there is room."""
    shown: list[Panel] = []
    least = FRAME + 2
    for at, (part, wanted) in enumerate(parts):
        last = at == len(parts) - 1 or height - wanted < least
        size = height if last else wanted
        shown.append(part(size))
        height -= size
        if last:
            break
    return Group(*shown)


def _beside(*columns: tuple[RenderableType, int]) -> Table:
    grid = Table.grid()
    for _, width in columns:
        grid.add_column(width=width)
    grid.add_row(*(part for part, _ in columns))
    return grid
