"""Signs and colors. A sign carries each meaning; a color only adds to it."""

from rich.box import ROUNDED
from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

#: Style of names, units and everything else that is not a value.
DIM = "bright_black"

#: Sign of a seed that was removed.
ENDED_SIGN = "✕"

#: Sign and style of a seed's stage.
STAGES = {
    "DORMANT": ("·", DIM),
    "GERMINATED": ("○", "bright_cyan"),
    "TRAINING": ("◔", "cyan"),
    "BLENDING": ("◑", "bright_blue"),
    "SHADOWING": ("◕", "magenta"),
    "PROBATIONARY": ("◕", "bright_magenta"),
    "HOLDING": ("◕", "bright_magenta"),
    "FOSSILIZED": ("◆", "bold bright_green"),
    "CULLED": (ENDED_SIGN, "red"),
    "PRUNED": (ENDED_SIGN, "red"),
    "EMBARGOED": (ENDED_SIGN, "red"),
    "RESETTING": (ENDED_SIGN, "red"),
}
OTHER_STAGE = ("?", "yellow")

#: Sign and style of an environment's status.
STATUSES = {
    "excellent": ("▲", "bold bright_green"),
    "healthy": ("●", "green"),
    "degraded": ("▼", "yellow"),
    "stalled": ("■", "red"),
    "initializing": ("○", DIM),
}
OTHER_STATUS = ("○", DIM)

#: Style of a log line by its type, or by how the type begins or ends.
_LINES = {
    "SEED_GERMINATED": "bright_cyan",
    "SEED_FOSSILIZED": "bold bright_green",
    "SEED_CULLED": "red",
    "BATCH_EPOCH_COMPLETED": "bold",
    "TRAINING_STARTED": "bold",
    "_closed": "bold",
    "_lost": "bold red",
}


def line_style(event_type: str) -> str:
    """Return the style of a log line of an event type."""
    if event_type in _LINES:
        return _LINES[event_type]
    if event_type.startswith("GOVERNOR_"):
        return "bold red"
    return "yellow" if event_type.endswith("_DETECTED") else ""


def panel(title: str, body: RenderableType, height: int | None = None) -> Panel:
    """Return a framed part of the screen."""
    return Panel(
        body,
        title=Text(f" {title} ", style="bold"),
        title_align="left",
        border_style=DIM,
        box=ROUNDED,
        padding=(0, 1),
        height=height,
    )


def clip(text: Text, width: int) -> Text:
    """Cut text to one line of a width, and return it."""
    text.no_wrap, text.overflow = True, "ellipsis"
    text.truncate(max(width, 1), overflow="ellipsis")
    return text
