"""Draw the terminal view of the demo's recording as an image.

    python -m scripts.screenshots

The same code and recording give the same bytes.
"""

import io
from itertools import islice
from pathlib import Path

from rich.console import Console

from sanctum_bus.cli.demo.data import demo_recording
from sanctum_bus.cli.demo.play import RUN
from sanctum_bus.events import recordings
from sanctum_bus.fold import offline
from sanctum_bus.views.model import RunView
from sanctum_bus.views.recorded import recorded_view
from sanctum_bus.views.tui.layout import draw
from sanctum_bus.views.tui.screen import Screen

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "watch.svg"

#: Columns and lines of the terminal.
SIZE = (120, 40)

#: Events of the recording that the picture shows as processed: the run is in the middle of an episode.
EVENTS = 1620


def middle_of_the_demo() -> RunView:
    """Return the view of the run after `EVENTS` events."""
    entries = offline.encode_records(recordings.read(demo_recording()))
    aggregate = offline.fold_entries(islice(entries, EVENTS))
    return recorded_view(RUN, aggregate, aggregate.drain_changes())


def svg() -> str:
    """Return the image."""
    width, height = SIZE
    console = Console(
        width=width,
        height=height,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(draw(Screen(middle_of_the_demo()), width, height, "q quit"))
    return console.export_svg(title=f"sanctum watch {RUN}", unique_id="sanctum")


def main() -> None:
    """Write the image."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(svg(), encoding="utf-8")
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
