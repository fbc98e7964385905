"""The content of the screen: a view of the run, and the selected part of it."""

from dataclasses import dataclass

from sanctum_bus.views.model import ArmView, RunView


@dataclass(frozen=True, slots=True)
class Screen:
    """One moment of the terminal view.

    Args:
        run: the run.
        arm: index of the selected arm; any number, it wraps around.
        page: page of environments, from 0; it wraps around.
        notices: further phrases for the last line.
    """

    run: RunView
    arm: int = 0
    page: int = 0
    notices: tuple[str, ...] = ()

    @property
    def selected(self) -> ArmView:
        """The selected arm."""
        return self.run.arms[self.arm % len(self.run.arms)]
